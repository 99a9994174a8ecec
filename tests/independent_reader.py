#!/usr/bin/env python3
"""An independent reader and verifier of runjournal's format on disk, written from docs/format.md alone.

    python3 tests/independent_reader.py DIR [DIR...]       one line of JSON for each run or task directory
    python3 tests/independent_reader.py --canonical FILE   FILE's JSON in the canonical form of section 9

Standard library only, BLAKE3 included. "Section" and "step" mean those of docs/format.md. The files are taken to be
at rest: nobody holds a lock, so nothing is read twice. Exit code 0: it could look, whatever it found; 1: FILE is
not readable JSON; 2: usage.
"""
import json, os, re, stat, struct, sys, threading
from collections import deque

# ---------------------------------------------------------------------------------------------------- BLAKE3
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8

def _compression_source():
    """The compression function as straight-line code (7 rounds of 8 quarter rounds): some times faster than loops."""
    permutation = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
    columns_then_diagonals = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                              (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    names = lambda letter, numbers: ", ".join(letter + str(n) for n in numbers)
    src = ["def compress(cv, words, counter, length, flags):",
           names("m", range(16)) + " = words",
           names("v", range(8)) + " = cv",
           names("v", range(8, 16)) + " = *IV[:4], counter & M, counter >> 32, length, flags"]
    order = list(range(16))
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(columns_then_diagonals):
            for word, right1, right2 in ((order[2 * i], 16, 12), (order[2 * i + 1], 8, 7)):
                src += [f"v{a} = v{a} + v{b} + m{word} & M",
                        f"v{d} ^= v{a}; v{d} = (v{d} >> {right1} | v{d} << {32 - right1}) & M",
                        f"v{c} = v{c} + v{d} & M",
                        f"v{b} ^= v{c}; v{b} = (v{b} >> {right2} | v{b} << {32 - right2}) & M"]
        order = [order[p] for p in permutation]
    return "\n ".join(src + ["return " + ", ".join(f"v{i} ^ v{i + 8}" for i in range(8))])

_namespace = {"IV": IV, "M": 0xFFFFFFFF}
exec(_compression_source(), _namespace)
compress = _namespace["compress"]

def _subtree(data, first_chunk, root):
    """The chaining value (8 words) of the tree over data, which is never empty unless it is the whole input."""
    if len(data) <= 1024:
        cv, blocks = IV, max(1, -(-len(data) // 64))
        for i in range(blocks):
            block = data[64 * i:64 * i + 64]
            flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END | root if i == blocks - 1 else 0)
            cv = compress(cv, struct.unpack("<16I", block.ljust(64, b"\0")), first_chunk, len(block), flags)
        return cv
    left = 1 << ((len(data) - 1) // 1024).bit_length() - 1     # chunks: the largest power of two that leaves a rest
    words = _subtree(data[:1024 * left], first_chunk, 0) + _subtree(data[1024 * left:], first_chunk + left, 0)
    return compress(IV, words, 0, 64, PARENT | root)

def blake3(data):
    return struct.pack("<8I", *_subtree(data, 0, ROOT))

def digest(data):
    return "blake3:" + blake3(data).hex()

for _input, _hash in ((b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
                      (b"abc", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85")):
    if blake3(_input).hex() != _hash:
        sys.exit("the BLAKE3 in this file is broken")

# ---------------------------------------------------------------------------------------------------- JSON
class Integer:
    """A JSON number without fraction and exponent, kept as written: it may have any number of digits."""
    def __init__(self, text):
        self.text = text

def no_constant(name):                      # Python reads NaN and Infinity, JSON has none
    raise ValueError(name)

def parse_json(data):
    return json.loads(data.decode("utf-8"), parse_int=Integer, parse_constant=no_constant)

def number(value, low=0):
    """The value of an *integer* (digits only, so no minus sign either) that is at least low; else None."""
    sound = isinstance(value, Integer) and value.text.isdigit() and int(value.text) >= low
    return int(value.text) if sound else None

def canonical(value, indent=""):
    if isinstance(value, Integer):
        return value.text
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return canonical_float(value)
    if isinstance(value, str):
        return '"' + re.sub(r'["\\\x00-\x1f]', escape, value) + '"'
    inner = indent + "  "
    if isinstance(value, list):
        items, brackets = [canonical(v, inner) for v in value], "[]"
    else:                                   # duplicates: json.loads kept the last one
        keys = sorted(value, key=lambda k: k.encode("utf-8", "surrogatepass"))
        items, brackets = [canonical(k) + ": " + canonical(value[k], inner) for k in keys], "{}"
    if not items:
        return brackets
    return brackets[0] + "\n" + inner + (",\n" + inner).join(items) + "\n" + indent + brackets[1]

def escape(match):
    char = match.group()
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    return short.get(char) or "\\u%04x" % ord(char)

def canonical_float(value):
    """repr has the shortest digits; the page lays them out as 1.0, 0.00001, 1e-6, 1000000000000000.0, 1e16, 1.5e300."""
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number beyond the range of a double")
    mantissa, _, exponent = repr(value).partition("e")
    if exponent == "-05":                   # the one magnitude that repr writes with an exponent and the page without
        return ("-" if value < 0 else "") + "0.0000" + mantissa.lstrip("-").replace(".", "")
    return mantissa + "e" + str(int(exponent)) if exponent else mantissa

# ---------------------------------------------------------------------------------------------------- lines, records
# The end of a sealed line or record is 76 bytes. With any byte for the newline it makes a line *shaped* (6.3).
SHAPED = re.compile(rb',"hash":"([0-9a-f]{64})"\}.', re.S)
ROTTED = re.compile(rb'[\x02\x08\x0b\x0e\x1a*J\x8a](?=\{"seq":)'
                    rb'|(?<=,"hash":"' + rb'[0-9a-f]' * 64 + rb'"\})[\x02\x08\x0b\x0e\x1a*J\x8a](?=.)', re.S)
# Writers use one spelling of UUIDs and times; whether others are records is left open. Here: any UUID version in
# lowercase, any RFC 3339 time (not checked: the lengths of months).
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)"
                  r"(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])")
DIGEST = re.compile(r"blake3:[0-9a-f]{64}")

def seal(line):
    """(body, hash) of a shaped line, else None."""
    match = SHAPED.fullmatch(line[-76:])
    return match and (line[:-76], bytes.fromhex(match.group(1).decode()))

class Record:
    """A line that is a record as 6.1 has it; any other raises. Of the optional keys only batch and garbage matter."""
    def __init__(self, line, start):
        self.start, self.end = start, start + len(line)
        if len(line) > 1 << 20 or not line.endswith(b"\n") or not seal(line):
            raise ValueError("size or end")
        self.body, self.hash = seal(line)
        self.json = obj = parse_json(line)
        # A wrong type raises by itself: obj may be no dict, a key may be missing, fullmatch wants a string.
        strings = [obj[key] for key in ("event_type", "aggregate_kind", "stream_id", "actor_kind")]
        self.seq, self.stream_version = number(obj["seq"], 1), number(obj["stream_version"])
        if not (all(isinstance(s, str) for s in strings) and UUID.fullmatch(obj["event_id"])
                and TIME.fullmatch(obj["occurred_at"]) and None not in (self.seq, self.stream_version)):
            raise ValueError("required keys")
        self.index = self.size = self.garbage = None
        if "batch_index" in obj or "batch_size" in obj:
            self.index, self.size = number(obj.get("batch_index")), number(obj.get("batch_size"), 2)
            if self.index is None or self.size is None or self.size > 1024 or self.index >= self.size:
                raise ValueError("batch")
        if "garbage" in obj:
            garbage = obj["garbage"]
            self.garbage = number(garbage["bytes"]), garbage["digest"]
            if self.garbage[0] is None or not DIGEST.fullmatch(garbage["digest"]):
                raise ValueError("garbage")

    def links_to(self, parent_hash):
        return blake3(parent_hash + self.body) == self.hash

def as_record(line, start):
    try:
        return Record(line, start)
    except (ValueError, TypeError, KeyError, RecursionError):       # UnicodeError and JSONDecodeError are ValueErrors
        return None

# ---------------------------------------------------------------------------------------------------- section 6: scan
class Scan:
    def __init__(self, genesis_hash, data):
        self.data, self.counted, self.reports = data, [], []
        self.move_cursor(0, 0, genesis_hash)
        start = 0
        while (newline := data.find(b"\n", start)) >= 0:
            self.take(start, newline + 1)
            start = newline + 1
        for line in self.uncounted:                     # 6.5
            self.report(*line)
        torn = self.pending[0].start if self.pending else start
        if torn < len(data):
            self.report(torn, len(data), "torn")

    def move_cursor(self, offset, seq, hash):
        self.offset, self.seq, self.hash = offset, seq, hash
        self.uncounted = []                             # [start, end, kind]; kind is None until step 7 settles it
        self.listed = deque(maxlen=16)                  # (own hash if shaped, end, tips), oldest first
        self.pending, self.pending_parent = [], None    # the members; what the first followed

    def report(self, start, end, kind):
        if self.reports and self.reports[-1][1:] == [start, kind]:
            self.reports[-1][1] = end                   # touches the one before and is of the same kind
        else:
            self.reports.append([start, end, kind])

    def uncount(self, start, end, kind):
        """Adds an uncounted line or piece, and the recovered tips that it yields (6.3)."""
        line = [start, end, kind]
        self.uncounted.append(line)
        if end - start >= 76:
            shape, body = seal(self.data[start:end]), self.data[start:end - 76]
            own = shape[1] if shape else None
            tips = ([own] if shape else []) + [blake3(self.hash + body)]
            if self.listed and self.listed[-1][0]:
                tips.append(blake3(self.listed[-1][0] + body))
            self.listed.append((own, end, tips))
        return line

    def parent_of(self, rec):
        """What rec follows, as (is it the cursor?, where it ends), or None (6.1, step 3)."""
        if rec.seq == self.seq + 1 and rec.links_to(self.hash):
            return True, self.offset
        # Members that step 2 has just given up have no kind yet, so they do not open the way to the recovered tips.
        if rec.seq > self.seq and any(kind == "damage" for _, _, kind in self.uncounted):
            tried = set()                               # an older tip with the same hash would lose anyway
            for _, end, tips in reversed(self.listed):
                for tip in tips:
                    if tip not in tried and rec.links_to(tip):
                        return False, end
                    tried.add(tip)
        return None

    def take(self, start, end):
        line = self.data[start:end]
        rec, last = as_record(line, start), self.pending[-1] if self.pending else None
        if (rec and last and rec.size == last.size and rec.index == last.index + 1          # step 1
                and rec.seq == last.seq + 1 and rec.links_to(last.hash)):
            self.pending.append(rec)
            if rec.index + 1 == rec.size:
                self.count(self.pending, self.pending_parent)
            return
        members = [self.uncount(m.start, m.end, None) for m in self.pending]                   # step 2
        self.pending = []
        parent, kind = rec and self.parent_of(rec), None
        if parent:                                                                          # step 3
            kind = "damage" if rec.index else None
        else:
            if cuts := [match.end() for match in ROTTED.finditer(line)]:                    # step 4
                for member in members:                  # the first piece is always damage: it ends in no \n
                    member[2] = "damage"
                edges = [0] + cuts + [len(line)]
                for a, b in zip(edges, edges[1:]):
                    self.take(start + a, start + b)
                return
            kind = "garbage" if line.endswith(b"#\n") else "damage"                         # steps 5 and 6
        for member in members:                          # step 7, before the line counts or is listed
            member[2] = "damage" if kind == "damage" else "garbage"
        if kind:
            self.uncount(start, end, kind)
        elif rec.index is None:
            self.count([rec], parent)
        else:
            self.pending, self.pending_parent = [rec], parent

    def count(self, records, parent):
        """Section 6.4."""
        first, last, (is_cursor, region_start) = records[0], records[-1], parent
        region = self.data[region_start:first.start]
        matches = first.garbage == ((len(region), digest(region)) if region else None)
        damaged = any(kind == "damage" and start >= region_start for start, _, kind in self.uncounted)
        if is_cursor and matches:
            if region:
                self.report(region_start, first.start, "garbage")
        else:
            whole = not matches and not damaged                     # the region is one damage report, of length 0 too
            for line in self.uncounted:
                if line[0] < region_start or not whole:
                    self.report(*line)
            if whole:
                self.report(region_start, first.start, "damage")
        self.counted += records
        self.move_cursor(last.end, last.seq, last.hash)

# ---------------------------------------------------------------------------------------------------- directories
def lookup(root, path):
    """(mode, name) of what lies at path below root, or (None, None). Symbolic links below root are never followed."""
    name, parts = root, path.split("/")
    for i, part in enumerate(parts):
        name = os.path.join(name, part)
        try:
            mode = None if part in ("", ".", "..") else os.lstat(name).st_mode
        except (OSError, ValueError):
            mode = None
        if mode is None or (i + 1 < len(parts) and not stat.S_ISDIR(mode)):
            return None, None
    return mode, name

def read(root, path):
    """The bytes of the regular file at path below root, else None."""
    mode, name = lookup(root, path)
    if mode is None or not stat.S_ISREG(mode):
        return None
    with open(name, "rb") as file:
        return file.read()

def genesis_is_sound(data):
    """Section 3. The hash decides; which keys there are is not judged, as a later version may have others."""
    shape = seal(data)
    try:
        return bool(shape and data.count(b"\n") == 1 and data.endswith(b"\n") and blake3(shape[0]) == shape[1]
                    and isinstance(parse_json(data), dict))
    except (ValueError, RecursionError):
        return False

def files_below(folder):
    """Paths of all that is no folder. A symbolic link is listed as itself."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            for path in files_below(entry.path):
                yield entry.name + "/" + path
        else:
            yield entry.name

def artifact_states(run, records):
    """Section 9: the newest counted record of each path against the disk."""
    newest, states = {}, {}
    for rec in records:
        if rec.json["event_type"] in ("artifact_written", "artifact_adopted", "artifact_removed"):
            newest[rec.json["stream_id"]] = rec
    for path, rec in newest.items():
        mode, _ = lookup(run, "artifacts/" + path)
        present = mode is not None and not stat.S_ISDIR(mode)       # a folder there is not this file: a/b came after a
        stage = read(run, ".tmp/" + rec.json["event_id"])
        content = read(run, "artifacts/" + path)                    # None if a link or a device lies there
        payload = rec.json.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        replaces = content is not None and digest(content) == payload.get("previous")
        if rec.json["event_type"] == "artifact_removed":
            states[path] = "removed" if not present else "pending" if stage == b"" and replaces else "unjournaled"
            continue
        wanted = payload.get("digest")
        if content is not None and digest(content) == wanted:
            states[path] = "ok"
        elif stage is not None and digest(stage) == wanted and (not present or replaces):
            states[path] = "pending"
        else:
            states[path] = "changed" if present else "missing"
    mode, folder = lookup(run, "artifacts")
    if mode is not None and stat.S_ISDIR(mode):
        for path in files_below(folder):
            states.setdefault(path, "unjournaled")
    return dict(sorted(states.items()))

def object_states(home, records):
    """Section 4: each object that a counted record names, against the disk."""
    states = {}
    for rec in records:
        ref = rec.json.get("payload_ref")
        if isinstance(ref, dict) and DIGEST.fullmatch(str(ref.get("digest"))):
            name = ref["digest"][len("blake3:"):]
            content = read(home, "objects/" + name[:2] + "/" + name[2:])
            sound = content is not None and len(content) == number(ref.get("size")) and digest(content) == ref["digest"]
            states[ref["digest"]] = "missing" if content is None else "ok" if sound else "changed"
    return dict(sorted(states.items()))

def look(directory):
    result = {"dir": directory, "genesis": "missing", "records": [], "reports": [], "artifacts": {}, "objects": {}}
    run, task = read(directory, "run.json"), read(directory, "task.json")
    genesis = task if run is None else run
    if genesis is None:
        return result
    if not genesis_is_sound(genesis):
        return dict(result, genesis="damaged")
    result["genesis"] = "ok"
    journal = read(directory, "journal/events.jsonl")
    scan = Scan(blake3(genesis), journal or b"")
    if journal is None:                                             # "a run.json without a journal is damage"
        scan.report(0, 0, "damage")
    result["records"] = [{"seq": r.seq, "event_id": r.json["event_id"], "event_type": r.json["event_type"],
                          "stream": r.json["aggregate_kind"] + "/" + r.json["stream_id"],
                          "stream_version": r.stream_version} for r in scan.counted]
    result["reports"] = [{"offset": a, "length": b - a, "kind": kind} for a, b, kind in scan.reports]
    result["objects"] = object_states(directory, scan.counted)
    if run is not None:
        result["artifacts"] = artifact_states(directory, scan.counted)
    return result

def main(args):
    if len(args) == 2 and args[0] == "--canonical":
        try:
            with open(args[1], "rb") as file:
                sys.stdout.buffer.write(canonical(parse_json(file.read())).encode("utf-8") + b"\n")
            return 0
        except (OSError, ValueError, RecursionError) as error:
            print(f"{args[1]}: {error}", file=sys.stderr)
            return 1
    if not args or any(arg.startswith("-") or not os.path.isdir(arg) for arg in args):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    for arg in args:
        print(json.dumps(look(arg)), flush=True)
    return 0

if __name__ == "__main__":
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)       # the page knows no limit
    # Nor does it know a limit of nesting: room for that, in a thread, whose stack can be chosen.
    sys.setrecursionlimit(200_000)
    threading.stack_size(256 << 20)
    code = []
    thread = threading.Thread(target=lambda: code.append(main(sys.argv[1:])))
    thread.start()
    thread.join()
    sys.exit(code[0] if code else 70)
