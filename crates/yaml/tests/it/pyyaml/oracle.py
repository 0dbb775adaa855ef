"""Says what PyYAML makes of texts.

Reads lines of JSON: a text, or {"hex": bytes}. Writes for each a line of JSON: {"c": answer of CSafeLoader, "python":
answer of SafeLoader}; an answer is {"value": JSON of a canonical value} or {"error": text}. A canonical value is a list of its
type's name and what it holds; floats are the hexadecimal digits of their eight bytes."""
import datetime, json, struct, sys, yaml

LOADERS = {"c": yaml.CSafeLoader, "python": yaml.SafeLoader}
MOST = 200_000


class Canon:
    def __init__(self):
        self.count = 0

    def of(self, value, depth=0):
        self.count += 1
        if self.count > MOST or depth > 150:
            raise OverflowError("too much")
        below = depth + 1
        if value is None:
            return ["null"]
        if isinstance(value, bool):
            return ["bool", value]
        if isinstance(value, int):
            return ["int", hex(value)]
        if isinstance(value, float):
            return ["float", "nan" if value != value else struct.pack(">d", value).hex()]
        if isinstance(value, str):
            # SafeLoader lets halves of surrogate pairs pass, which JSON does not.
            lone = any("\ud800" <= character <= "\udfff" for character in value)
            return ["surrogates", ascii(value)] if lone else ["str", value]
        if isinstance(value, bytes):
            return ["bytes", value.hex()]
        if isinstance(value, datetime.datetime):
            return ["datetime", value.isoformat()]
        if isinstance(value, datetime.date):
            return ["date", value.isoformat()]
        if isinstance(value, list):
            return ["list", [self.of(item, below) for item in value]]
        if isinstance(value, tuple):
            return ["tuple", [self.of(item, below) for item in value]]
        if isinstance(value, dict):
            return ["dict", [[self.of(key, below), self.of(item, below)] for key, item in value.items()]]
        if isinstance(value, set):
            return ["set", sorted((self.of(item, below) for item in value), key=json.dumps)]
        raise TypeError(type(value))


def answer(loader, text):
    try:
        value = yaml.load(text, Loader=loader)
    except RecursionError:
        return {"error": "RecursionError"}
    except Exception as error:
        return {"error": type(error).__name__ + ": " + " ".join(str(error).split())[:300]}
    try:
        return {"value": json.dumps(Canon().of(value))}
    except OverflowError:
        return {"large": True}


def main():
    wanted = sys.argv[1:]
    for line in sys.stdin:
        document = json.loads(line)
        if isinstance(document, dict):
            document = bytes.fromhex(document["hex"])
        print(json.dumps({name: answer(LOADERS[name], document) for name in wanted}), flush=False)


main()
