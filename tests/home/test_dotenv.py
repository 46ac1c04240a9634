"""The dotenv format. The expected values are what npm's dotenv 16.6.1 gave (spec §5.5)."""

from __future__ import annotations

import os
import re
import stat
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinokiocloud.errors import UsageError
from pinokiocloud.home.dotenv import assignment, edited, parse, read, set_values, switch_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("A = sp aced \nB=2", {"A": "sp aced", "B": "2"}),
        ("export A=1\n  export\tB=2", {"A": "1", "B": "2"}),
        ("# A=1\n#\nB=2", {"B": "2"}),
        ("A=one # two", {"A": "one"}),
        ("A=one#two", {"A": "one"}),
        ("A='one # two' # three", {"A": "one # two"}),
        ('A="one#two"', {"A": "one#two"}),
        ("A=`one \"two\" 'three'`", {"A": "one \"two\" 'three'"}),
        (r'A="a\nb\rc\td\"e"', {"A": "a\nb\rc" + r"\td\"e"}),
        (r"A='a\nb'", {"A": r"a\nb"}),
        (r"A=a\nb", {"A": r"a\nb"}),
        ('A="first\nsecond # third"\nB=2', {"A": "first\nsecond # third", "B": "2"}),
        ("A='first\r\nsecond'\r\nB=2\r\n", {"A": "first\nsecond", "B": "2"}),
        ("A=1\rB=2", {"A": "1", "B": "2"}),
        ("A=\nB=", {"A": "", "B": ""}),
        ("A=''\nB=\"\"", {"A": "", "B": ""}),
        ("A=1\nA=2", {"A": "2"}),
        ("A: 1\nB:2\nC:\t3", {"A": "1", "C": "3"}),
        ("KEY: ", {"KEY": ""}),
        ("A.b-c_D1=x", {"A.b-c_D1": "x"}),
        ("A=x=y", {"A": "x=y"}),
        ("A=${B}/$C", {"A": "${B}/$C"}),
        ("A='a'b'", {"A": "a'b"}),
        ("A='a' b", {"A": "'a' b"}),
        ('A="unclosed\nB=2', {"A": '"unclosed', "B": "2"}),
        ("no assignment\nA B=1\n=2\nC", {}),
        ("A=\n'below'", {"A": "below"}),
        ("A=1\n\n# comment\n\nB=2", {"A": "1", "B": "2"}),
        ("é=1\nB=é😀", {"B": "é😀"}),
        ("\ufeffA=1", {"A": "1"}),
        ("A=\u00a0x\u3000", {"A": "x"}),
        ("A=x\x85", {"A": "x\x85"}),
        ("A=x\u2028B=2", {"A": "x\u2028B=2"}),
        ("PS1=<<PINOKIO_SHELL>> ", {"PS1": "<<PINOKIO_SHELL>>"}),
        ("", {}),
    ],
)
def test_parses_as_the_npm_package(text, values):
    assert parse(text) == values


def test_a_later_value_keeps_the_first_place():
    assert list(parse("A=1\nB=2\nA=3")) == ["A", "B"]


@pytest.mark.parametrize("text", ["\n" * 50_000, "A='" + "\\'" * 20_000, "A=" + " " * 50_000 + "#", "export " * 9000])
def test_odd_files_take_no_time(text):
    start = time.perf_counter()
    parse(text)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "data",
    [
        "A=é\n".encode(),
        b"\xef\xbb\xbf" + "A=é\n".encode(),
        b"\xff\xfe" + "A=é\r\n".encode("utf-16-le"),
        b"\xfe\xff" + "A=é\n".encode("utf-16-be"),
        "A=é\n".encode("utf-16-le"),
        "A=é\n".encode("utf-16-be"),
    ],
)
def test_reads_utf_8_and_utf_16(tmp_path, data):
    file = tmp_path / "ENVIRONMENT"
    file.write_bytes(data)
    assert parse(read(file)) == {"A": "é"}


def test_reads_other_bytes(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    file.write_bytes(b"A=\xe9\nB=2\n")
    assert parse(read(file)) == {"A": "\ufffd", "B": "2"}


# What the reference engine wrote for the same call, but for the line D and the quotes.
def test_set_replaces_lines_where_they_stand(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    file.write_text("A=old\nB=one\nB=two\nC =sp\n#D=com\nexport E=exp\nF=\nH.I=dot\nHXI=no\nJ=old # comment\nK=last")
    set_values(
        file, {"A": "  new ", "B": "n", "C": "n", "D": "n", "E": "n", "F": '"q#r"', "G": "", "H.I": "n", "J": "x=y"}
    )
    assert file.read_text() == (
        'A=new\nB=n\nB=n\nC =n\n#D=com\nexport E=n\nF="q#r"\nH.I=n\nHXI=no\nJ=x=y\nK=last\nD=n\nG=\n'
    )


def test_set_case_env_set(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    file.write_text("# c\nFOO=old\nEMPTY=\nREL=./rel/dir\n")
    set_values(file, {"FOO": "bar baz", "NUM": "3"})
    assert file.read_text() == "# c\nFOO=bar baz\nEMPTY=\nREL=./rel/dir\nNUM=3\n"


def test_set_without_a_file(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    with pytest.raises(FileNotFoundError) as caught:
        set_values(file, {"FOO": "bar"})
    assert caught.value.filename == str(file)
    assert not file.exists()


def test_set_replaces_values_of_several_lines_and_keeps_comments(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    file.write_text("A='one\ntwo' # gone\n# about B\nB=1\nC=\n\n# about D\nD: 4\n")
    set_values(file, {"A": "1", "C": "3", "D": "5"})
    assert file.read_text() == "A=1\n# about B\nB=1\nC=3\n\n# about D\nD: 5\n"


def test_set_keeps_line_ends_bytes_permissions_and_links(tmp_path):
    real = tmp_path / "real"
    real.write_bytes(b"A=1\r\nB=\xe9\r\n")
    real.chmod(0o600)
    file = tmp_path / "ENVIRONMENT"
    file.symlink_to("real")
    set_values(file, {"A": "2", "C": "3"})
    assert real.read_bytes() == b"A=2\r\nB=\xe9\r\nC=3\r\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert file.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["ENVIRONMENT", "real"]


def test_set_makes_utf_16_utf_8(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    file.write_bytes("\ufeffA=é\n".encode("utf-16-le"))
    set_values(file, {"B": "ü"})
    assert file.read_text(encoding="utf-8") == "A=é\nB=ü\n"


def test_set_stores_line_ends_as_text(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    file.write_text("")
    set_values(file, {"A": "\n one\r\ntwo\nthree\r "})
    assert file.read_text() == "A=one\\ntwo\\nthree\n"
    assert parse(file.read_text()) == {"A": r"one\ntwo\nthree"}


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a#b", 'A="a#b"'),
        ('a"#', "A='a\"#'"),
        ("it's \"#1\"", "A=`it's \"#1\"`"),
        ("one#\ntwo", r"A='one#\ntwo'"),
        ("'\"#`", "A='\"#`"),
        ('"own # quotes"', 'A="own # quotes"'),
        ("$& $1", "A=$& $1"),
    ],
)
def test_values_that_would_be_cut_off_are_quoted(value, line):
    assert assignment("A", value) == line


def test_strict_never_quotes():
    assert assignment("A", "a#b", strict=True) == "A=a#b"


@pytest.mark.parametrize("key", ["", "A B", "A=B", "A\nB", "é"])
def test_impossible_names_are_refused(key):
    with pytest.raises(UsageError, match="not a name"):
        edited("", {key: "1"})


def test_switch_turns_to_the_next_value(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    file.write_text('MODE=c\nS="a b"\nU=zz\nV=1 # c\nT=x\nBLANK=\n')
    switch_values(
        file,
        {
            "MODE": ["a", "b", "c"], "NEWK": ["x", "y"], "S": ["a b", "c"], "T": ["x"], "U": ["p", "q"],
            "V": ["1", "2"], "BLANK": ["on", "off"], "NONE": [],
        },
    )
    assert file.read_text() == "MODE=a\nS=c\nU=zz\nV=2\nT=x\nBLANK=on\nNEWK=x\n"


def test_nothing_is_written_when_nothing_changes(tmp_path):
    file = tmp_path / "ENVIRONMENT"
    file.write_text("A=1\n")
    before = file.stat()
    set_values(file, {"A": "1"})
    switch_values(file, {"A": ["2", "3"]})
    assert file.stat().st_ino == before.st_ino


BLANKS = [" ", "\t", "\n", "\r\n", "\ufeff", "\u2028"]
PIECES = st.sampled_from(["A", "B", "export ", "x", "é", "=", ":", "'", '"', "`", "#", "\\n", "\\", *BLANKS])
TEXTS = st.lists(PIECES, max_size=40).map("".join)
KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
PLAIN = st.text("abcXYZ019 /._-=:$%&", max_size=12)


@given(TEXTS)
def test_any_text_parses_to_trimmed_known_keys(text):
    for key, value in parse(text).items():
        assert key
        assert "\r" not in value
    assert parse(text.replace("\r\n", "\n").replace("\n", "\r\n")) == parse(text)


@given(st.dictionaries(KEYS, PLAIN.map(str.strip), max_size=6))
def test_plain_values_survive(values):
    text = edited("", values)
    assert parse(text) == values
    assert edited(text, values) == text


@given(st.dictionaries(KEYS, PLAIN.map(str.strip), max_size=6), KEYS, st.text(min_size=1, max_size=20))
def test_any_value_is_stored_and_touches_no_other(values, key, value):
    text = edited("# top\n" + edited("", values) + "# bottom\n", {key: value})
    line = assignment(key, value)
    assert line in text
    assert "\n" not in line
    assert "\r" not in line
    new = parse(text)
    assert {name: new[name] for name in values if name != key} == {k: v for k, v in values.items() if k != key}
    plain = value.strip().replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")
    quotes = {"'", '"', "`"}
    if re.sub("[\r\n]", "", value).isprintable() and plain[:1] not in quotes and not quotes <= set(plain):
        assert new[key] == plain
