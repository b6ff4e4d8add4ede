#!/usr/bin/env python3
"""Makes messages.h and messages.c from schema files: generate.py OUT_DIR FILE.msg... (run by CMake)."""
import os
import sys

sys.dont_write_bytecode = True

from schema import Problem, parse, pascal  # noqa: E402  (after the switch above)

# In C, in the table, and the least bytes on the wire: not flexible, flexible.
PRIMITIVES = {
    'bool': ('bool', 'BOOL', 1, 1), 'int8': ('int8_t', 'I8', 1, 1),
    'int16': ('int16_t', 'I16', 2, 2), 'uint16': ('uint16_t', 'U16', 2, 2),
    'int32': ('int32_t', 'I32', 4, 4), 'uint32': ('uint32_t', 'U32', 4, 4),
    'int64': ('int64_t', 'I64', 8, 8), 'float64': ('double', 'F64', 8, 8),
    'uuid': ('struct uuid', 'UUID', 16, 16), 'string': ('struct wire_str', 'STR', 2, 1),
    'bytes': ('struct wire_bytes', 'BYTES', 4, 1),
    'records': ('struct wire_records', 'RECORDS', 4, 1),
}


def within(version, span):
    return span[0] <= version <= span[1]


def least_of_element(message, field, version):
    """The fewest bytes a value of the field's type takes, or one element of its array."""
    flexible = within(version, message.flexible)
    if not field.is_struct():
        return PRIMITIVES[field.type][3 if flexible and field.flexible is None else 2]
    least = 1 if flexible else 0
    for inner in message.structs[field.type]:
        if within(version, inner.range) and not within(version, inner.tag_range):
            least += least_of_field(message, inner, version)
    return least


def least_of_field(message, field, version):
    if field.array:
        return 1 if within(version, message.flexible) else 4
    return 1 if field.is_pointer() else least_of_element(message, field, version)


def least_bytes(message, field):
    """Over all versions that have the field. What an array's count is held against."""
    if not field.array:
        return 0
    found = [least_of_element(message, field, version)
             for version in range(message.range[0], message.range[1] + 1)
             if within(version, field.range)]
    if not found or min(found) < 1:
        raise Problem('%s.%s: elements that take no bytes' % (message.name, field.name))
    return min(found)


def c_member(message, field):
    base = 'struct %s_%s' % (message.name, field.type)
    if not field.is_struct():
        base = PRIMITIVES[field.type][0]
    if field.array:
        return '    struct {\n        %s *items;\n        int32_t count;\n    } %s;' % (
            base, field.name)
    return '    %s %s%s;' % (base, '*' if field.is_pointer() else '', field.name)


def emit_struct(out, message, name, fields):
    out.append('struct %s {' % name)
    out += [c_member(message, field) for field in fields]
    if not fields:
        out.append('    char nothing; /* no fields */')
    out.append('};\n')


def default_number(field):
    if field.default in (None, 'null', 'false'):
        return '0'
    if field.default == 'true':
        return '1'
    if field.array or field.type not in PRIMITIVES or not PRIMITIVES[field.type][0].endswith('_t'):
        raise Problem('%s: a %s cannot default to %s' % (field.name, field.type, field.default))
    value = int(field.default, 0)
    return 'INT64_MIN' if value == -2**63 else 'INT64_C(%d)' % value


def emit_fields(out, message, owner, fields, label):
    out.append('static const struct wire_field fields_%s[] = {' % label)
    for f in fields:
        flags = [name for name, on in (
            ('WIRE_ARRAY', f.array), ('WIRE_POINTER', f.is_pointer()),
            ('WIRE_IGNORABLE', f.ignorable), ('WIRE_DEFAULT_NULL', f.default == 'null'),
            ('WIRE_OLD_STRING', f.flexible is not None)) if on]
        row = (('name', '"%s"' % f.name),
               ('kind', 'WIRE_KIND_' + ('STRUCT' if f.is_struct() else PRIMITIVES[f.type][1])),
               ('flags', ' | '.join(flags) or '0'),
               ('min', f.range[0]), ('max', f.range[1]), ('null_min', f.null[0]),
               ('null_max', f.null[1]), ('tag', f.tag), ('tag_min', f.tag_range[0]),
               ('tag_max', f.tag_range[1]), ('least_bytes', least_bytes(message, f)),
               ('offset', 'offsetof(struct %s, %s)' % (owner, f.name)),
               ('number', default_number(f)),
               ('type', '&wire_struct_%s_%s' % (message.name, f.type) if f.is_struct() else 'NULL'))
        out.append('    {%s},' % ', '.join('.%s = %s' % pair for pair in row))
    if not fields:
        out.append('    {0},')
    out.append('};')


def emit_tables(out, message):
    for name in message.struct_order():
        label = '%s_%s' % (message.name, name)
        emit_fields(out, message, label, message.structs[name], label)
        out.append('const struct wire_struct wire_struct_%s = {fields_%s, %d, sizeof(struct %s)};' % (
            label, label, len(message.structs[name]), label))
    emit_fields(out, message, message.name, message.fields, message.name)
    out.append('const struct wire_message wire_%s = {"%s", %d, %d, %d, %d, {fields_%s, %d, '
               'sizeof(struct %s)}};\n' % (
                   message.name, message.name, *message.range, *message.flexible, message.name,
                   len(message.fields), message.name))


def without(name, end):
    if not name.endswith(end):
        raise Problem('%s: its name should end in %s' % (name, end))
    return name[:-len(end)]


def emit_head(messages, apis, records):
    out = ['/* Made by common/wire/generate.py from common/wire/schema. */',
           '#ifndef COMMON_WIRE_MESSAGES_H', '#define COMMON_WIRE_MESSAGES_H\n',
           '#include "common/wire/wire.h"\n', '/* API keys. */', 'enum wire_key {']
    out += ['    WIRE_%s = %d,' % (without(m.name, '_request').upper(), m.key) for m in apis]
    out += ['};\n', '/* Metadata record types. */', 'enum wire_record {']
    out += ['    WIRE_RECORD_%s = %d,' % (without(m.name, '_record').upper(), m.key)
            for m in records]
    out.append('};\n')
    for m in messages:
        for name in m.struct_order():
            emit_struct(out, m, '%s_%s' % (m.name, name), m.structs[name])
            out.append('extern const struct wire_struct wire_struct_%s_%s;\n' % (m.name, name))
        emit_struct(out, m, m.name, m.fields)
        out.append('extern const struct wire_message wire_%s;\n' % m.name)
    return out + ['#endif']


def emit_body(messages, apis, records):
    out = ['/* Made by common/wire/generate.py from common/wire/schema. */',
           '#include "common/wire/messages.h"\n', '#include "common/wire/table.h"\n']
    for m in messages:
        emit_tables(out, m)
    out.append('const struct wire_message *const wire_messages[] = {')
    out += ['    &wire_%s,' % m.name for m in messages]
    out += ['};', 'const size_t wire_message_count = %d;\n' % len(messages)]
    out.append('const struct wire_api wire_apis[] = {')
    for m in apis:
        name = without(m.name, '_request')
        out.append('    {%d, "%s", &wire_%s_request, &wire_%s_response, %d},' % (
            m.key, pascal(name), name, name, m.range[1] if m.unstable else -1))
    out += ['};', 'const size_t wire_api_count = %d;\n' % len(apis)]
    out.append('const struct wire_api *const wire_apis_by_key[] = {')
    out += ['    [%d] = &wire_apis[%d],' % (m.key, i) for i, m in enumerate(apis)]
    out += ['};', 'const size_t wire_key_count = sizeof wire_apis_by_key / '
            'sizeof wire_apis_by_key[0];\n']
    out.append('const struct wire_record_row wire_records_table[] = {')
    out += ['    {%d, &wire_%s},' % (m.key, m.name) for m in records]
    return out + ['};', 'const size_t wire_record_count = %d;' % len(records)]


def main():
    out_dir, paths = sys.argv[1], sys.argv[2:]
    messages = [m for path in sorted(paths) for m in parse(path)]
    names = [m.name for m in messages]
    for name in names:
        if names.count(name) > 1:
            raise Problem('%s is described twice' % name)
    apis = sorted((m for m in messages if m.kind == 'request'), key=lambda m: m.key)
    records = sorted((m for m in messages if m.kind == 'metadata'), key=lambda m: m.key)
    os.makedirs(out_dir, exist_ok=True)
    for name, lines in (('messages.h', emit_head(messages, apis, records)),
                        ('messages.c', emit_body(messages, apis, records))):
        with open(os.path.join(out_dir, name), 'w', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    try:
        main()
    except Problem as problem:
        sys.exit('generate.py: %s' % problem)
