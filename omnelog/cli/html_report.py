# SPDX-License-Identifier: MIT
"""Make a page of HTML on a run: first the failures, then the times at which nodes were at work.

The page does not need any other file. All text from the log or a capture is escaped, so that a
browser cannot treat it as anything but text. There is one script, for the search and to fold
paragraphs. The page's policy names the script by its hash, so that no other script runs.
"""

import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from urllib.parse import quote

from .bars import Block, Chart, chart_of, rows_of, ticks_ms, title_of
from .captures import capture_path, last_lines
from .describe import detail, failure, outcome, sign_of, took, work
from .state import Node, NodeState, Summary
from .text import counted, plain
from .times import elapsed_ms, moment_ms, spell_ms

_MOST_FAILURES = 200  # failures that have a paragraph of their own
_MOST_LISTED = 20  # failures that are visible without a click
_MOST_OPEN = 5  # failures that are unfolded
_MOST_NODES = 2000  # nodes in the table
_LINES = 30  # lines of what a node printed
_MESSAGE = 4000  # characters of a message
_CLASSES = {"✓": "done", "✗": "failed", "⏸": "open"}

_STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1b1b1b;--dim:#666;--line:#ddd;--box:#f5f5f5;
--done:#2e7d32;--failed:#c62828;--open:#a05a00}
@media (prefers-color-scheme:dark){:root{--back:#181a1b;--text:#e6e6e6;--dim:#a0a0a0;--line:#3a3d40;
--box:#222527;--done:#4caf50;--failed:#f26b68;--open:#fbc02d}}
*{box-sizing:border-box}[hidden]{display:none!important}
body{margin:0 auto;padding:16px;max-width:1800px;background:var(--back);color:var(--text);
font:14px/1.45 system-ui,sans-serif}
h1{font-size:18px;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:15px;margin:24px 0 8px}
p{margin:2px 0}code,pre,.name,td:nth-child(2){font-family:ui-monospace,Menlo,Consolas,monospace}
code,pre,.name{font-size:12px}code{overflow-wrap:anywhere}.dim{color:var(--dim)}a{color:inherit}
.tools{display:flex;gap:8px;margin:12px 0;flex-wrap:wrap}
input{flex:1 1 200px;max-width:420px;padding:6px 8px;font:inherit;border:1px solid var(--line);
border-radius:4px;background:var(--box);color:inherit}
button{padding:6px 10px;font:inherit;border:1px solid var(--line);border-radius:4px;
background:var(--box);color:inherit}
.failure{border:1px solid var(--line);border-left:4px solid var(--failed);border-radius:4px;
margin:6px 0;background:var(--box)}
summary{cursor:pointer;padding:6px 8px;overflow-wrap:anywhere}
.failure>div{padding:0 12px 10px}pre{margin:6px 0;padding:8px;overflow:auto;max-height:360px;
background:var(--back);border:1px solid var(--line);border-radius:4px}
.chart{position:relative}
.row{display:grid;grid-template-columns:minmax(0,220px) 1fr 104px;gap:0 10px;
align-items:center;position:relative}
.name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.track{position:relative;height:20px;min-width:0}.took{color:var(--dim);font-size:12px;
white-space:nowrap}
.track i{position:absolute;top:3px;height:14px;min-width:3px;border-radius:2px}
.lane i{min-width:1px;border-radius:0}
i.done{background:var(--done)}i.failed{background:var(--failed)}i.open{background:var(--open)}
i.unended{opacity:.6}b.done{color:var(--done)}b.failed{color:var(--failed)}b.open{color:var(--open);font-size:0}
b.open::before{content:"";display:inline-block;width:3px;height:9px;border:solid;
border-width:0 2px}
.axis{position:sticky;top:0;background:var(--back);border-bottom:1px solid var(--line);z-index:2;
font-size:12px;color:var(--dim)}
.axis span{position:absolute;top:0;line-height:20px;white-space:nowrap;padding-left:3px;
border-left:1px solid var(--line)}
.axis span.last{transform:translateX(-100%);padding:0 3px 0 0;border:0;
border-right:1px solid var(--line)}
.table{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:3px 8px;border-bottom:1px solid var(--line);vertical-align:top}
th:nth-child(3),th:nth-child(4),td:nth-child(3),td:nth-child(4){text-align:right;white-space:nowrap}
td:nth-child(2),td:nth-child(5){overflow-wrap:anywhere;min-width:110px}
@media (max-width:640px){body{padding:10px}.row{grid-template-columns:1fr 104px}
.row .name{grid-column:1/-1;margin-top:4px}.axis .name,th:nth-child(5){display:none}
table,tbody{display:block}tr{display:grid;grid-template-columns:24px 1fr 70px 128px;
border-bottom:1px solid var(--line)}th,td{padding:3px 4px;border:0}
td:nth-child(5){grid-column:2/-1;color:var(--dim)}}
@media (max-width:899px){.axis span:nth-child(even){display:none}}
"""

_SCRIPT = """
const find = document.getElementById("find");
const all = [...document.querySelectorAll("[data-find]")];
let texts = null;
find.addEventListener("input", () => {
  texts = texts || all.map(e => (e.textContent + " " + e.title).toLowerCase());
  const wanted = find.value.toLowerCase();
  all.forEach((e, i) => { e.hidden = !texts[i].includes(wanted); });
  document.getElementById("none").hidden = all.some(e => !e.hidden) || !wanted;
  if (wanted) document.querySelectorAll("details:not(.failure)").forEach(e => { e.open = true; });
});
document.getElementById("fold").addEventListener("click", () => {
  const open = document.querySelector("details[open]") === null;
  document.querySelectorAll("details").forEach(e => { e.open = open; });
});
"""


def report(root: Path, run_id: str, run: Summary, now_ms: int, directory: Path) -> Iterator[str]:
    """Yield the page on a run, in pieces, for a file in `directory`.

    `now_ms` is the time, in milliseconds since 1970. The captures of nodes that failed are read.
    """
    digest = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_text(run_id)}</title><style>{_STYLE}</style></head><body>\n"
    yield f"<h1>{_text(run_id)}</h1><p>{_text(outcome(run, now_ms))}</p>"
    if run.begun:
        yield f'<p class="dim">{_text(run.begun.ts)} {_text(detail(run.begun))}</p>'
    nodes = list(run.nodes.values())
    counts = [f"{run.count(state):,} {state}" for state in NodeState if run.count(state)]
    yield f'<p class="dim">{counted(len(nodes), "node")}{": " if counts else ""}'
    yield f"{', '.join(counts)}</p>\n"
    yield '<div class="tools"><input id="find" type="search" placeholder="search" '
    yield 'aria-label="search"><button id="fold">fold or unfold</button></div>\n'
    yield '<p id="none" class="dim" hidden>Nothing on this page has that text.</p>\n'
    failed = [node for node in nodes if node.state is NodeState.FAILED]
    if failed:
        yield from _failures(root, run_id, run, failed, directory)
    yield from _chart(run, now_ms)
    if nodes:
        yield from _table(run, nodes, now_ms)
    yield f"<script>{_SCRIPT}</script></body></html>\n"


def _text(text: str, longest: int = 500) -> str:
    return escape(plain(text, longest))


def _lines(text: str) -> str:
    return "\n".join(_text(line) for line in text.split("\n"))


def _failures(
    root: Path, run_id: str, run: Summary, failed: Sequence[Node], directory: Path
) -> Iterator[str]:
    yield f"<h2>{len(failed):,} failed</h2>\n"
    for number, node in enumerate(failed[:_MOST_FAILURES]):
        if number == _MOST_LISTED:
            yield "<details><summary><b>more that failed</b></summary>\n"
        opened = " open" if number < _MOST_OPEN else ""
        after = spell_ms(elapsed_ms(moment_ms(run.first), node.start_ms))
        why = failure(node.error, node.message) if node.error else ""
        sign = sign_of(node)
        yield f'<details class="failure" data-find{opened}><summary>'
        yield f'<b class="{_CLASSES[sign]}">{sign}</b> '
        yield f'<b class="name">{_text(node.id)}</b> {escape(why)} '
        yield f'<span class="dim">+{after}, {spell_ms(node.duration_ms)}</span></summary><div>'
        if node.kind is not None:
            yield f"<p><code>{escape(work(node.kind, node.name, node.model, 2000))}</code></p>"
        message = (node.message or "").strip("\n")
        if "\n" in message:
            yield f"<pre>{_lines(message[-_MESSAGE:])}</pre>"
        capture = capture_path(root, run_id, node.id)
        if capture is not None:
            where = quote(os.path.relpath(capture, directory))
            shown = last_lines(capture, _LINES)
            what = "the end of " if shown else "there is nothing in "
            yield f'<p class="dim">{what}<a href="{escape(where)}">its output</a></p>'
            if shown:
                lines = "\n".join(map(escape, shown))
                yield f"<pre>{lines}</pre>"
        yield "</div></details>\n"
    if len(failed) > _MOST_LISTED:
        yield "</details>\n"
    if len(failed) > _MOST_FAILURES:
        more = f"{len(failed) - _MOST_FAILURES:,} more; omnelog show --failed lists all"
        yield f'<p class="dim">and {more}</p>\n'


def _chart(run: Summary, now_ms: int) -> Iterator[str]:
    chart = chart_of(run, now_ms)
    if not chart.bars:
        return
    yield '<h2>When nodes were at work</h2>\n<div class="chart"><div class="row axis">'
    yield '<div class="name">&nbsp;</div><div class="track">'
    for tick in ticks_ms(chart.length_ms, 5):
        at = _percent(chart, tick)
        last = ' class="last"' if at > 82 else ""  # put its text to the left, where there is room
        yield f'<span{last} style="left:{at:.2f}%">{spell_ms(tick)}</span>'
    yield '</div><div class="took">took</div></div>\n'
    for row in rows_of(chart):
        node = row.node
        time = took(node, run, now_ms) if node is not None else ""
        sign = f'<b class="{_CLASSES[sign_of(node)]}">{sign_of(node)}</b> ' if node else ""
        find = " data-find" if node else ""
        kind = "row" if node else "row lane"
        yield f'<div class="{kind}"{find}><div class="name" title="{_text(row.label)}">{sign}'
        yield f'{_text(row.label)}</div><div class="track">'
        for block in row.blocks:
            yield _block(chart, block, title_of(block, run, now_ms))
        yield f'</div><div class="took">{time}</div></div>\n'
    yield "</div>\n"


def _block(chart: Chart, block: Block, title: str) -> str:
    at = _percent(chart, block.start_ms)
    wide = _percent(chart, block.end_ms) - at
    unended = all(bar.node.state is NodeState.RUNNING for bar in block.bars)
    kind = _CLASSES[block.sign] + (" unended" if unended else "")
    place = f"left:min({at:.3f}%,100% - 3px);width:{wide:.3f}%"
    return f'<i class="{kind}" style="{place}" title="{escape(title)}"></i>'


def _percent(chart: Chart, at_ms: int) -> float:
    return 100 * at_ms / max(1, chart.length_ms)


def _table(run: Summary, nodes: list[Node], now_ms: int) -> Iterator[str]:
    """Yield the table of nodes, as they began; if they are too many, the failed and the slowest."""
    shown = nodes
    if len(nodes) > _MOST_NODES:
        failed = [node for node in nodes if node.state is NodeState.FAILED]
        rest = [node for node in nodes if node.state is not NodeState.FAILED]
        rest.sort(key=lambda node: -(node.duration_ms or 0))
        shown = (failed + rest)[:_MOST_NODES]
    what = "All nodes" if shown is nodes else f"{len(shown):,} nodes: the failed and the slowest"
    opened = " open" if len(nodes) <= 50 else ""
    yield f"<details{opened}><summary><b>{what}</b></summary>"
    yield '<div class="table"><table><tr><th></th><th>node</th><th>began</th><th>took</th>'
    yield "<th>what</th></tr>\n"
    begin_ms = moment_ms(run.first)
    for node in shown:
        sign = sign_of(node)
        after = spell_ms(elapsed_ms(begin_ms, node.start_ms))
        doing = work(node.kind, node.name, node.model) if node.kind else "never started"
        yield f'<tr data-find><td><b class="{_CLASSES[sign]}">{sign}</b></td>'
        yield f"<td>{_text(node.id)}</td><td>+{after}</td><td>{took(node, run, now_ms)}</td>"
        yield f"<td>{escape(doing)}</td></tr>\n"
    yield "</table></div></details>\n"
