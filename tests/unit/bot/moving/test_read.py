"""The operator's files, however odd: taken as freqtrade takes them, refused with a place and without a quote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasos.bot.moving.read import Source, sources
from nasos.errors import BotError, Error


def read(path: Path) -> tuple[Source, ...]:
    """One file and what it adds."""
    return sources([path], Path.read_bytes)


def write(directory: Path, content: bytes | str, name: str = "config.json") -> Path:
    """A file."""
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_added_files_are_weaker_than_the_one_that_adds_them(tmp_path: Path) -> None:
    """Weakest first: what the added file adds, then it, then the file itself; relative to the file, links followed."""
    (tmp_path / "sub").mkdir()
    write(tmp_path, '{"add_config_files": ["sub/a.json", "sub/b.json"]}')
    write(tmp_path / "sub", '{"add_config_files": ["deep.json"]}', "a.json")
    write(tmp_path / "sub", "{}", "b.json")
    write(tmp_path / "sub", "{}", "deep.json")
    (tmp_path / "link.json").symlink_to(tmp_path / "config.json")
    found = read(tmp_path / "link.json")
    assert [source.place.name for source in found] == ["deep.json", "a.json", "b.json", "config.json"]
    assert any("is a link" in remark for remark in found[-1].remarks)


def test_comments_and_trailing_commas_are_read_and_comments_located(tmp_path: Path) -> None:
    """Also a comment in a text is none, and a lone carriage return ends a line comment, as for freqtrade."""
    [source] = read(write(tmp_path, '// a\n{"a": "//no", /* b\nc */ "d": [1,],\n}//e\r\n'))
    assert source.content == {"a": "//no", "d": [1]}
    assert source.comments == ((1, "// a"), (2, "/* b\nc */"), (4, "//e"))
    [source] = read(write(tmp_path, b'{"a":1,//c\r"b":2\n}'))
    assert source.content == {"a": 1, "b": 2}


def test_keys_that_stand_twice_are_told_with_their_lines(tmp_path: Path) -> None:
    """The last one counts, for freqtrade as for us; the same key in two objects is no matter."""
    text = '{\n"a": 1, // "a": 9\n"b": {"a": 2},\n"c": {"x": 1,\n"x": 2},\n"a": [{"a": 1}, {"a": 1}]\n}'
    [source] = read(write(tmp_path, text))
    assert source.content == json.loads('{"a": [{"a": 1}, {"a": 1}], "b": {"a": 2}, "c": {"x": 2}}')
    assert [remark.partition(" ")[2] for remark in source.remarks] == [
        "lines 4 and 5: 'x' stands twice, the last one counts",
        "lines 2 and 6: 'a' stands twice, the last one counts",
    ]


def test_a_byte_order_mark_is_told(tmp_path: Path) -> None:
    """freqtrade refuses it; the clean file has none."""
    [source] = read(write(tmp_path, b'\xef\xbb\xbf{"a": 1}'))
    assert source.content == {"a": 1}
    assert source.marked
    assert "byte order mark" in source.remarks[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1\n "planted": 2}', "line 2 column 2"),
        ('{\n"key": "planted\n"}', "line 2 column"),
        ("", "line 1 column 1"),
        ("[1]", "no JSON object"),
        (b'{\n"a": "planted\xff"}', "line 2 is not UTF-8"),
        ('{\n"a": "planted\\ud800"}', "line 2 has half a surrogate pair"),
        ('{"a": /* planted', "line 1 column 7"),
        ("[" * 100_000, "nests deeper"),
        ('{"add_config_files": ["config.json"]}', "more than 5 deep"),
        ('{"add_config_files": ["missing.json"]}', "does not exist"),
    ],
)
def test_what_freqtrade_would_refuse_is_refused_with_its_place(
    tmp_path: Path, content: bytes | str, words: str
) -> None:
    """Never with the text around it."""
    with pytest.raises(BotError) as caught:
        read(write(tmp_path, content))
    assert words in caught.value.message
    assert "planted" not in f"{caught.value.message}{caught.value.hint}"


def test_whole_surrogate_pairs_and_any_language_are_text(tmp_path: Path) -> None:
    """Escaped and as they are."""
    [source] = read(write(tmp_path, '{"a": "\\ud83d\\ude00 ü 봇", "b": "\\\\ud800"}'))
    assert source.content == {"a": "😀 ü 봇", "b": "\\ud800"}


def test_five_megabytes_are_read(tmp_path: Path) -> None:
    """A pair list of an absurd size, with a comment on each line and a key that stands twice at the end."""
    pairs = "".join(f'  "COIN{number}/USDT", // pair {number}\n' for number in range(170_000))
    text = f'{{"exchange": {{"pair_whitelist": [\n{pairs}]}},\n"last": 1,\n"last": 2}}'
    assert len(text) > 5 << 20
    [source] = read(write(tmp_path, text))
    assert len(source.content["exchange"]["pair_whitelist"]) == 170_000  # type: ignore[index]  # as written above
    assert source.remarks[0].endswith("'last' stands twice, the last one counts")


def test_a_directory_a_socket_and_a_circle_of_links_are_no_files(tmp_path: Path) -> None:
    """Said, not crashed on."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for path in (tmp_path, tmp_path / "a", tmp_path / "nothing"):
        with pytest.raises(Error):
            read(path)
