#!/usr/bin/env python3
"""Compares every schema of ours, field by field, with Apache Kafka's own.

    tests/interop/schemas.py JAR_OR_DIRECTORY...

Kafka's schemas are common/message/*.json and common/metadata/*.json inside its jars (kafka-clients, kafka-metadata,
kafka-group-coordinator, kafka-transaction-coordinator, kafka-raft); a directory is searched for *.json and
*.jar, folders below it too. Exit: 0 when all agree, 1 with one line per difference, 2 when nothing could be compared.
"""
import argparse
import glob
import json
import os
import re
import sys
import zipfile

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.abspath(__file__))
WIRE = os.path.join(HERE, '..', '..', 'common', 'wire')
sys.path.insert(0, WIRE)

import schema  # noqa: E402  (found through the line above)

# A string, or a comment to the end of its line: comments are not JSON, and strings may hold slashes.
STRING_OR_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*')


def read_json(text):
    return json.loads(STRING_OR_COMMENT.sub(
        lambda match: '' if match.group().startswith('//') else match.group(), text))


def sources(paths):
    """(where, text) of every schema found."""
    for path in paths:
        if os.path.isdir(path):
            found = sorted(glob.glob(os.path.join(path, '**', '*'), recursive=True))
            yield from sources([p for p in found if p.endswith(('.json', '.jar'))])
        elif path.endswith('.jar'):
            with zipfile.ZipFile(path) as jar:
                for name in sorted(jar.namelist()):
                    if re.fullmatch(r'common/(message|metadata)/\w+\.json', name):
                        yield '%s:%s' % (path, name), jar.read(name).decode('utf-8')
        else:
            with open(path, encoding='utf-8') as file:
                yield path, file.read()


def versions(text):
    """Kafka's '3+', '3-5', '3', 'none' as (first, last)."""
    if text is None or text == 'none':
        return schema.NONE
    return schema.versions(text.replace('+', '-'))


def field_name(field):
    """Kafka begins a few names with a small letter; its generator does not care, nor do we."""
    return field['name'][:1].upper() + field['name'][1:]


def plain(span):
    return {schema.NONE: 'none'}.get(span, '%d-%s' % (
        span[0], '' if span[1] == schema.LAST else span[1]))


def same_default(value, kind):
    """A default in one spelling."""
    if value is None or value == '':
        return {'bool': 'false'}.get(kind, '0' if kind in schema.PRIMITIVES else '')
    text = str(value).lower()
    if kind in ('string', 'bytes', 'records', 'uuid', 'bool') or text == 'null':
        return text
    return str(float(text) if kind == 'float64' else int(text, 0))


class Compare:
    def __init__(self):
        self.differences = []
        self.fields = 0

    def check(self, where, what, ours, theirs):
        if ours != theirs:
            self.differences.append("%s: %s is %s here, %s in Kafka" % (where, what, ours, theirs))

    def message(self, ours, theirs):
        where = ours.name
        kind = theirs['type']
        self.check(where, 'the kind', ours.kind, kind)
        self.check(where, 'the key', ours.key, theirs.get('apiKey', -1))
        self.check(where, 'the versions', plain(ours.range), plain(versions(theirs['validVersions'])))
        self.check(where, 'flexible', plain(ours.flexible),
                   plain(versions(theirs.get('flexibleVersions'))))
        self.check(where, 'unstable', ours.unstable, theirs.get('latestVersionUnstable', False))
        common = {s['name']: s['fields'] for s in theirs.get('commonStructs', [])}
        self.struct(where, ours, ours.fields, theirs['fields'], common)

    def struct(self, where, message, ours, theirs, common):
        self.check(where, 'the order of fields', [f.kafka for f in ours],
                   [field_name(f) for f in theirs])
        by_name = {field_name(f): f for f in theirs}
        for field in ours:
            if field.kafka in by_name:
                self.field('%s.%s' % (where, field.name), message, field, by_name[field.kafka],
                           common)

    def field(self, where, message, ours, theirs, common):
        self.fields += 1
        array = theirs['type'].startswith('[]')
        kind = theirs['type'][2:] if array else theirs['type']
        self.check(where, 'being an array', ours.array, array)
        self.check(where, 'the versions', plain(ours.range), plain(versions(theirs['versions'])))
        self.check(where, 'null', plain(ours.null), plain(versions(theirs.get('nullableVersions'))))
        self.check(where, 'the tag', ours.tag, theirs.get('tag', -1))
        self.check(where, 'the range of the tag', plain(ours.tag_range),
                   plain(versions(theirs.get('taggedVersions'))))
        self.check(where, 'ignorable', ours.ignorable, theirs.get('ignorable', False))
        self.check(where, 'the default',
                   same_default(ours.default, '' if ours.array else ours.type),
                   same_default(theirs.get('default'), '' if array else kind))
        own = theirs.get('flexibleVersions')
        self.check(where, 'its own flexible', ours.flexible and plain(ours.flexible),
                   own and plain(versions(own)))
        if not ours.is_struct() or kind in schema.PRIMITIVES:
            self.check(where, 'the type', ours.type, kind)
            return
        below = theirs.get('fields') or common.get(kind)
        if below is None:
            self.differences.append('%s: Kafka does not say what %s is' % (where, kind))
            return
        self.struct(where, message, message.structs[ours.type], below, common)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('paths', nargs='+', metavar='JAR_OR_DIRECTORY')
    theirs = {}
    for where, text in sources(parser.parse_args().paths):
        found = read_json(text)
        if theirs.setdefault(found['name'], found) != found:
            sys.exit('%s: %s is described in two ways' % (where, found['name']))
    if not theirs:
        print('schemas: no schema of Kafka there', file=sys.stderr)
        sys.exit(2)
    compare = Compare()
    ours = [m for path in sorted(glob.glob(os.path.join(WIRE, 'schema', '*.msg')))
            for m in schema.parse(path)]
    for message in ours:
        if message.kafka in theirs:
            compare.message(message, theirs[message.kafka])
        else:
            compare.differences.append('%s: Kafka has no %s among what was given' % (
                message.name, message.kafka))
    print('\n'.join(compare.differences + [
        'schemas: %d messages, %d fields of ours compared: %d differences' % (
            len(ours), compare.fields, len(compare.differences))]))
    sys.exit(1 if compare.differences else 0)


if __name__ == '__main__':
    main()
