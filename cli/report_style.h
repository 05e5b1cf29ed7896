// The style sheet of the report's page, for light and dark screens and for paper.
#ifndef NEON_REDO_CLI_REPORT_STYLE_H_
#define NEON_REDO_CLI_REPORT_STYLE_H_

namespace neon_redo::cli {

inline constexpr const char* kReportStyle = R"(
:root { color-scheme: light dark; --text: #1c2128; --soft: #57606a; --page: #f6f8fa; --card: #fff;
  --line: #d0d7de; --undamaged: #d5dde5; --good: #1a7f37; --part: #9a6700; --bad: #b42318; --none: #57606a; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --soft: #9ba7b4; --page: #0d1117;
  --card: #161b22; --line: #30363d; --undamaged: #39424d; --good: #238636; --part: #9a6700; --bad: #c9372c;
  --none: #57606a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
header, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 1.1rem 1.4rem; margin-bottom: 1rem; }
header { border-top: 6px solid var(--state); }
.good { --state: var(--good); } .part { --state: var(--part); }
.bad { --state: var(--bad); } .none { --state: var(--none); }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .6rem; }
h2 { font-size: 1.15rem; margin: 0 0 .6rem; }
h3 { font-size: .95rem; margin: 1.4rem 0 .3rem; overflow-wrap: anywhere; }
p { margin: .4rem 0; max-width: 60rem; overflow-wrap: anywhere; }
ul { margin: .3rem 0; padding-left: 1.3rem; }
.verdict { display: inline-block; background: var(--state); color: #fff; font-weight: 600;
  border-radius: 6px; padding: .25rem .8rem; }
.summary { font-size: 1.08rem; }
.hint, .soft { color: var(--soft); font-size: .88rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem;
  margin: 1rem 0 .2rem; }
.figures div { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem;
  display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.figures dt { color: var(--soft); font-size: .82rem; }
.figures dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 2rem; }
.table { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; overflow-wrap: normal; }
tbody th { font-weight: 400; }
table.pairs tbody th { color: var(--soft); width: 13rem; overflow-wrap: normal; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code, pre { font: .85em/1.45 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; }
.record { color: var(--soft); margin-top: .2rem; }
.swatch { display: inline-block; width: 1.25em; text-align: center; color: #fff; border-radius: 3px;
  font: 700 .8em/1.35 ui-monospace, "DejaVu Sans Mono", monospace; }
.undamaged { background: var(--undamaged); }
.legend .nobreak { margin-right: 1.1em; }
.columns h3 { margin-top: .4rem; } h3 .soft { font-weight: 400; }
.nobreak { white-space: nowrap; }
svg.map { display: block; max-width: 100%; height: auto; margin: .5rem 0 .2rem; }
svg.map .u { fill: var(--undamaged); }
svg.map .g { stroke: var(--card); stroke-width: 1; }
svg.map text { font: 10px ui-monospace, "DejaVu Sans Mono", monospace; }
svg.map .n { fill: var(--soft); text-anchor: end; }
svg.map .l { fill: #fff; text-anchor: middle; font-weight: 700; }
@media print {
  @page { margin: 14mm; }
  :root { --text: #000; --soft: #444; --page: #fff; --card: #fff; --line: #bbb; --undamaged: #dde3e9; }
  body { font-size: 9pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  .figures { grid-template-columns: repeat(5, 1fr); } table.pairs tbody th { width: 9rem; }
  header, section { border-width: 0 0 1px; border-radius: 0; padding: .6rem 0; }
  header { border-top-width: 6px; }
  .table { overflow: visible; }
  h2, h3 { break-after: avoid; } tr, svg, .figures div { break-inside: avoid; }
  thead { display: table-header-group; }
}
)";

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_REPORT_STYLE_H_
