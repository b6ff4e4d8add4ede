"""Reads schema/*.msg (the notation is in schema/README.md). Standard library only."""

PRIMITIVES = ('bool', 'int8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'float64', 'string',
              'bytes', 'records', 'uuid')
KINDS = ('request', 'response', 'metadata', 'data', 'coordinator-key', 'coordinator-value')
LAST = 32767  # "and all later versions"
NONE = (1, 0)


class Problem(Exception):
    pass


def versions(text):
    """'none', '3', '3-' and '3-5' as (first, last)."""
    if text == 'none':
        return NONE
    low, dash, high = text.partition('-')
    try:
        return (int(low), int(high) if high else LAST if dash else int(low))
    except ValueError:
        raise Problem("'%s' is no version range: write none, 3, 3- or 3-5" % text) from None


def pascal(name):
    return ''.join(word[:1].upper() + word[1:] for word in name.split('_'))


class Words:
    """The words of a line, taken from the left."""

    def __init__(self, words):
        self.left = list(words)

    def take(self, what):
        if not self.left:
            raise Problem('%s is missing' % what)
        return self.left.pop(0)


class Field:
    def __init__(self, words):
        words = Words(words)
        self.name = words.take('a field name')
        kind = words.take('the type of %s' % self.name)
        self.array = kind.startswith('[]')
        self.type = kind[2:] if self.array else kind
        self.range = versions(words.take('the versions of %s' % self.name))
        self.null, self.tag, self.tag_range = NONE, -1, NONE
        self.default, self.ignorable, self.flexible = None, False, None
        self.kafka = pascal(self.name)
        while words.left:
            word = words.take('')
            if word == 'null':
                self.null = versions(words.take('the range of null'))
            elif word == 'tag':
                self.tag = int(words.take('the tag'))
                self.tag_range = versions(words.take('the range of the tag'))
            elif word == 'default':
                self.default = words.take('the default')
            elif word == 'ignorable':
                self.ignorable = True
            elif word == 'kafka':
                self.kafka = words.take("Kafka's name")
            elif word == 'flexible':
                self.flexible = versions(words.take('the range of flexible'))
            else:
                raise Problem("%s: '%s' means nothing here" % (self.name, word))

    def is_struct(self):
        return self.type not in PRIMITIVES

    def is_pointer(self):
        return self.is_struct() and not self.array and self.null != NONE


class Message:
    def __init__(self, words):
        words = Words(words)
        self.kind = words.take('the kind')
        if self.kind not in KINDS:
            raise Problem("'%s' is no kind of message: expected one of %s" % (
                self.kind, ', '.join(KINDS)))
        self.name = words.take('the name')
        self.key, self.unstable, self.flexible, self.range = -1, False, NONE, None
        self.kafka = pascal(self.name)
        self.structs = {}  # name -> fields
        self.fields = []
        while words.left:
            word = words.take('')
            if word == 'versions':
                self.range = versions(words.take('the versions'))
            elif word == 'flexible':
                self.flexible = versions(words.take('the flexible versions'))
            elif word == 'key':
                self.key = int(words.take('the key'))
            elif word == 'unstable':
                self.unstable = True
            elif word == 'kafka':
                self.kafka = words.take("Kafka's name")
            else:
                raise Problem("'%s' means nothing here" % word)
        if self.range is None:
            raise Problem('%s has no versions' % self.name)

    def struct_order(self):
        """Names of the inner structs, each after those it holds."""
        done = []

        def visit(name, above):
            if name in above:
                raise Problem('%s: %s holds itself' % (self.name, name))
            if name not in done:
                for field in self.structs[name]:
                    if field.is_struct():
                        visit(field.type, above + [name])
                done.append(name)
        for name in self.structs:
            visit(name, [])
        return done

    def check(self):
        for name, fields in [('', self.fields)] + list(self.structs.items()):
            names = [f.name for f in fields]
            tags = [f.tag for f in fields if f.tag >= 0]
            for what, seen in (('field', names), ('tag', tags)):
                for item in seen:
                    if seen.count(item) > 1:
                        raise Problem('%s %s: %s %s twice' % (self.name, name, what, item))
            if name and not fields:
                raise Problem('%s: nothing says what %s is' % (self.name, name))
        self.struct_order()


class Reader:
    """Lines of one file; a line's indent (2 a level) says in which struct its field lies."""

    def __init__(self):
        self.messages = []
        self.open = []  # (depth of the line, fields below it)

    def field(self, depth, words):
        message = self.messages[-1]
        while self.open[-1][0] >= depth:
            self.open.pop()
        if self.open[-1][0] != depth - 1:
            raise Problem('indented deeper than the line above allows')
        fields = self.open[-1][1]
        if words[0] == 'struct':
            if depth != 1 or len(words) != 2:
                raise Problem('write: struct NAME, one level deep')
            self.declare(message, words[1], depth)
            return
        field = Field(words)
        fields.append(field)
        if field.is_struct():
            if field.type in message.structs:
                self.open.append((depth, None))  # already described: nothing may follow
            else:
                self.declare(message, field.type, depth)

    def declare(self, message, name, depth):
        if name in message.structs or name in PRIMITIVES:
            raise Problem('%s is already a type' % name)
        message.structs[name] = []
        self.open.append((depth, message.structs[name]))

    def line(self, line):
        indent = len(line) - len(line.lstrip(' '))
        if indent % 2 or '\t' in line:
            raise Problem('indent by two blanks a level')
        if indent == 0:
            self.messages.append(Message(line.split()))
            self.open = [(0, self.messages[-1].fields)]
        elif not self.messages:
            raise Problem('a field before any message')
        elif self.open[-1][1] is None and indent // 2 > self.open[-1][0]:
            raise Problem('the fields of this struct are given above')
        else:
            self.field(indent // 2, line.split())


def parse(path):
    reader = Reader()
    with open(path, encoding='utf-8') as file:
        for number, raw in enumerate(file, 1):
            line = raw.split('#', 1)[0].rstrip()
            if line:
                try:
                    reader.line(line)
                except (Problem, ValueError) as problem:
                    raise Problem('%s:%d: %s' % (path, number, problem)) from None
    for message in reader.messages:
        message.check()
    return reader.messages
