#!/usr/bin/env python3
"""Makes messages.h and messages.c from the schema files (see schema/README.md). Standard library only."""
import os
import sys

PRIMITIVES = {
    'bool': ('bool', 'BOOL'), 'int8': ('int8_t', 'I8'), 'int16': ('int16_t', 'I16'),
    'uint16': ('uint16_t', 'U16'), 'int32': ('int32_t', 'I32'), 'uint32': ('uint32_t', 'U32'),
    'int64': ('int64_t', 'I64'), 'float64': ('double', 'F64'), 'string': ('struct wire_str', 'STR'),
    'bytes': ('struct wire_bytes', 'BYTES'), 'records': ('struct wire_records', 'RECORDS'),
    'uuid': ('struct uuid', 'UUID'),
}
KINDS = ('request', 'response', 'metadata', 'data', 'header', 'coordinator-key', 'coordinator-value')
LAST = 32767


class Problem(Exception):
    pass


def versions(text):
    if text == 'none':
        return (1, 0)
    low, _, high = text.partition('-')
    return (int(low), int(high) if high else LAST)


class Field:
    def __init__(self, words, message):
        self.name, kind, rng = words[0], words[1], words[2]
        self.array = kind.startswith('[]')
        self.type = kind[2:] if self.array else kind
        self.range = versions(rng)
        self.null, self.tag, self.tag_range = (1, 0), -1, (1, 0)
        self.default, self.ignorable, self.not_flexible = None, False, False
        rest = words[3:]
        while rest:
            word = rest.pop(0)
            if word == 'null':
                self.null = versions(rest.pop(0))
            elif word == 'tag':
                self.tag = int(rest.pop(0))
                self.tag_range = versions(rest.pop(0))
            elif word == 'default':
                self.default = rest.pop(0)
            elif word == 'ignorable':
                self.ignorable = True
            elif word == 'kafka':
                rest.pop(0)
            elif word == 'flexible':
                self.not_flexible = rest.pop(0) == 'none'
            else:
                raise Problem('%s.%s: unknown word %s' % (message, self.name, word))

    def is_struct(self):
        return self.type not in PRIMITIVES

    def is_pointer(self):
        return self.is_struct() and not self.array and self.null[0] <= self.null[1]


class Message:
    def __init__(self, words, where):
        self.kind, self.name = words[0], words[1]
        self.key, self.unstable, self.flexible = -1, False, (1, 0)
        self.structs = {}  # name -> list of fields, in the order C needs
        self.fields = []
        rest = words[2:]
        while rest:
            word = rest.pop(0)
            if word == 'versions':
                self.range = versions(rest.pop(0))
            elif word == 'flexible':
                self.flexible = versions(rest.pop(0))
            elif word == 'key':
                self.key = int(rest.pop(0))
            elif word == 'unstable':
                self.unstable = True
            else:
                raise Problem('%s: unknown word %s' % (where, word))


def parse(path):
    messages, stack = [], []
    for number, raw in enumerate(open(path), 1):
        line = raw.split('#', 1)[0].rstrip()
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        words = line.split()
        where = '%s:%d' % (path, number)
        if depth == 0:
            if words[0] not in KINDS:
                raise Problem('%s: expected one of %s' % (where, ', '.join(KINDS)))
            messages.append(Message(words, where))
            stack = [(0, messages[-1].fields)]
            continue
        while stack[-1][0] >= depth:
            stack.pop()
        message = messages[-1]
        if words[0] == 'struct' and depth == 1 and len(words) == 3 and words[2][0].isdigit() and words[1] not in PRIMITIVES:
            fields = message.structs.setdefault(words[1], [])
            stack.append((depth, fields))
            continue
        field = Field(words, message.name)
        stack[-1][1].append(field)
        if field.is_struct():
            if field.type not in message.structs:
                message.structs[field.type] = []
            stack.append((depth, message.structs[field.type]))
    return messages


def struct_order(message):
    done = []

    def visit(name):
        if name in done:
            return
        for field in message.structs[name]:
            if field.is_struct():
                visit(field.type)
        done.append(name)
    for name in message.structs:
        visit(name)
    return done


def c_type(message, field):
    if field.is_struct():
        return 'struct %s_%s' % (message.name, field.type)
    return PRIMITIVES[field.type][0]


def c_member(message, field):
    base = c_type(message, field)
    if field.array:
        return '    struct {\n        %s *items;\n        int32_t count;\n    } %s;' % (base, field.name)
    return '    %s %s%s;' % (base, '*' if field.is_pointer() else '', field.name)


def emit_struct(out, message, name, fields):
    out.append('struct %s {' % name)
    for field in fields:
        out.append(c_member(message, field))
    if not fields:
        out.append('    char nothing; /* no fields */')
    out.append('};\n')


def default_number(field):
    if field.default in (None, 'null', 'false'):
        return '0'
    if field.default == 'true':
        return '1'
    if field.type == 'string':
        raise Problem('string default %s' % field.default)
    value = int(field.default, 0)
    return 'INT64_MIN' if value == -2**63 else 'INT64_C(%d)' % value


def emit_fields(out, message, owner, fields, label):
    out.append('static const struct wire_field fields_%s[] = {' % label)
    for f in fields:
        kind = 'STRUCT' if f.is_struct() else PRIMITIVES[f.type][1]
        flags = [name for name, on in (('WIRE_ARRAY', f.array), ('WIRE_POINTER', f.is_pointer()),
                                       ('WIRE_IGNORABLE', f.ignorable), ('WIRE_DEFAULT_NULL', f.default == 'null'),
                                       ('WIRE_OLD_STRING', f.not_flexible)) if on]
        sub = '&struct_%s_%s' % (message.name, f.type) if f.is_struct() else 'NULL'
        out.append('    {"%s", WIRE_KIND_%s, %s, %d, %d, %d, %d, %d, %d, %d, offsetof(struct %s, %s), %s, %s},' % (
            f.name, kind, ' | '.join(flags) or '0', f.range[0], f.range[1], f.null[0], f.null[1], f.tag,
            f.tag_range[0], f.tag_range[1], owner, f.name, default_number(f), sub))
    if not fields:
        out.append('    {0},')
    out.append('};')


def emit_tables(out, message):
    for name in struct_order(message):
        label = '%s_%s' % (message.name, name)
        emit_fields(out, message, label, message.structs[name], label)
        out.append('static const struct wire_struct struct_%s = {fields_%s, %d, sizeof(struct %s)};' % (
            label, label, len(message.structs[name]), label))
    emit_fields(out, message, message.name, message.fields, message.name)
    out.append('const struct wire_message wire_%s = {"%s", %d, %d, %d, %d, {fields_%s, %d, sizeof(struct %s)}};\n' % (
        message.name, message.name, message.range[0], message.range[1], message.flexible[0], message.flexible[1],
        message.name, len(message.fields), message.name))


def pascal(name):
    return ''.join(w[:1].upper() + w[1:] for w in name.split('_'))


def main():
    out_dir, paths = sys.argv[1], sys.argv[2:]
    messages = [m for path in sorted(paths) for m in parse(path)]
    head = ['/* Made by common/wire/generate.py from common/wire/schema. */', '#ifndef COMMON_WIRE_MESSAGES_H',
            '#define COMMON_WIRE_MESSAGES_H\n', '#include "common/wire/wire.h"\n']
    body = ['/* Made by common/wire/generate.py from common/wire/schema. */', '#include "common/wire/messages.h"\n',
            '#include "common/wire/table.h"\n']
    apis = sorted((m.key, m) for m in messages if m.kind == 'request')
    head.append('/* API keys. */\nenum wire_key {')
    head += ['    WIRE_%s = %d,' % (m.name[:-len('_request')].upper(), key) for key, m in apis]
    head.append('};\n')
    records = sorted((m.key, m) for m in messages if m.kind == 'metadata')
    head.append('/* Metadata record types. */\nenum wire_record {')
    head += ['    WIRE_RECORD_%s = %d,' % (m.name[:-len('_record')].upper(), key) for key, m in records]
    head.append('};\n')
    for m in messages:
        for name in struct_order(m):
            emit_struct(head, m, '%s_%s' % (m.name, name), m.structs[name])
        emit_struct(head, m, m.name, m.fields)
        head.append('extern const struct wire_message wire_%s;\n' % m.name)
        emit_tables(body, m)
    head.append('#endif')
    body.append('const struct wire_api wire_apis[] = {')
    for key, m in apis:
        name = m.name[:-len('_request')]
        body.append('    {%d, "%s", &wire_%s_request, &wire_%s_response, %d},' % (
            key, pascal(name), name, name, m.range[1] if m.unstable else -1))
    body.append('};\nconst size_t wire_api_count = %d;\n' % len(apis))
    body.append('const struct wire_record_row wire_records_table[] = {')
    body += ['    {%d, &wire_%s},' % (key, m.name) for key, m in records]
    body.append('};\nconst size_t wire_record_count = %d;' % len(records))
    os.makedirs(out_dir, exist_ok=True)
    for name, lines in (('messages.h', head), ('messages.c', body)):
        with open(os.path.join(out_dir, name), 'w') as file:
            file.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    try:
        main()
    except Problem as problem:
        sys.exit('generate.py: %s' % problem)
