#include "guard/evaluation_page.h"

namespace garrison {

// Text has a contrast of 4.5:1 or more in both themes, what is drawn 3:1.
const std::string_view kEvaluationStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #f4f6f5; --surface: #ffffff; --text: #17211f; --muted: #50605c; --line: #d6dedb; --edge: #7a8a85;
  --accent: #0b6b5d;
  --user: #1d6fa8; --model: #b93a2b; --safe: #1a7a45; --alert: #8f5200; --critical: #8f1f16;
  --zone-critical: #f9e3e0; --zone-alert: #fbf0d9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1413; --surface: #171e1c; --text: #e2e9e6; --muted: #a3b3ae; --line: #2b3633; --edge: #6c7d78;
    --accent: #62c7b3;
    --user: #5dade2; --model: #f08a7c; --safe: #58d68d; --alert: #f5b041; --critical: #ff9d92;
    --zone-critical: #3a1a17; --zone-alert: #332807;
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--page); color: var(--text); font: 0.9375rem/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main, header, footer { max-width: 88rem; margin-inline: auto; padding: 0.5rem clamp(1rem, 3vw, 2rem); }
h1 { font-size: 1.5rem; margin: 0.75rem 0 0; }
h2 { font-size: 1.125rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 0.5rem; }
p, ul { margin: 0.4rem 0; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.hint { color: var(--muted); font-size: 0.8125rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 0.8125rem; font-variant-numeric: tabular-nums; }
caption { text-align: start; padding: 0.5rem 0.6rem; color: var(--muted); }
th, td { text-align: start; vertical-align: top; padding: 0.3rem 0.6rem; border-top: 1px solid var(--line); }
thead th { white-space: nowrap; }
.n { text-align: end; white-space: nowrap; }
.said { min-width: 14rem; max-width: 28rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.name { overflow-wrap: anywhere; min-width: 8rem; }
.pass { color: var(--safe); font-weight: 600; }
.fail { color: var(--critical); font-weight: 600; }
.unsure { color: var(--alert); font-weight: 600; }
.figures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); align-items: start; }
figure { margin: 0; padding: 0.75rem; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; min-width: 0; }
figcaption { display: flex; gap: 0.75rem; align-items: baseline; justify-content: space-between; font-weight: 600; font-size: 0.875rem; margin-bottom: 0.4rem; overflow-wrap: anywhere; }
figure .hint { margin: 0.4rem 0 0; }
button { font: inherit; font-size: 0.75rem; font-weight: 400; color: var(--accent); background: var(--surface); border: 1px solid var(--edge); border-radius: 6px; padding: 0.1rem 0.5rem; cursor: pointer; }
details { margin: 0.5rem 0; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; }
details > summary { padding: 0.5rem 0.75rem; cursor: pointer; overflow-wrap: anywhere; }
details > div { padding: 0 0.75rem 0.75rem; }
details figure, details .scroll { background: var(--page); }
.plot { display: block; max-width: 100%; height: auto; font: 11px system-ui, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
.grid { stroke: var(--line); } .axis { stroke: var(--edge); } .whisker { stroke: var(--text); stroke-width: 1.5; }
.series { fill: none; stroke-width: 2; stroke-linejoin: round; } .dashed { stroke-dasharray: 6 3; }
.rule { stroke-width: 1.25; stroke-dasharray: 5 4; }
.line-user { stroke: var(--user); } .line-model { stroke: var(--model); } .line-safe { stroke: var(--safe); }
.line-alert { stroke: var(--alert); } .line-critical { stroke: var(--critical); } .line-muted { stroke: var(--muted); }
.fill-user { fill: var(--user); } .fill-model { fill: var(--model); } .fill-safe { fill: var(--safe); }
.fill-alert { fill: var(--alert); } .fill-critical { fill: var(--critical); } .fill-muted { fill: var(--muted); }
.ink-text { fill: var(--text); } .ink-muted { fill: var(--muted); } .ink-safe { fill: var(--safe); } .ink-alert { fill: var(--alert); } .ink-critical { fill: var(--critical); }
.zone-critical { fill: var(--zone-critical); } .zone-alert { fill: var(--zone-alert); }
@media print { button { display: none; } }
)css";

// A button beside each plot, for those who have scripts. The plot's colours come from the page's
// style, which a picture does not have: they are written into a copy.
const std::string_view kEvaluationScript = R"js(
'use strict';
const SCALE = 2;
const LOOKS = ['fill', 'stroke', 'stroke-width', 'stroke-dasharray', 'stroke-linejoin', 'font-family', 'font-size', 'font-weight'];

function standalone(svg) {
  const copy = svg.cloneNode(true);
  const from = [svg, ...svg.querySelectorAll('*')];
  [copy, ...copy.querySelectorAll('*')].forEach((node, i) => {
    const style = getComputedStyle(from[i]);
    for (const look of LOOKS) node.setAttribute(look, style.getPropertyValue(look));
    node.removeAttribute('class');
  });
  const { width, height } = svg.viewBox.baseVal;
  const back = document.createElementNS(svg.namespaceURI, 'rect');
  back.setAttribute('width', width);
  back.setAttribute('height', height);
  back.setAttribute('fill', getComputedStyle(svg.closest('figure')).backgroundColor);
  copy.prepend(back);
  return { text: new XMLSerializer().serializeToString(copy), width, height };
}

async function pngOf(svg) {
  const { text, width, height } = standalone(svg);
  const image = new Image();
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(text);
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the browser made no picture'))), 'image/png');
  });
}

async function download(svg, button) {
  try {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await pngOf(svg));
    link.download = svg.id + '.png';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (error) {
    button.textContent = 'PNG failed: ' + error.message;
  }
}

for (const svg of document.querySelectorAll('figure > svg')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'PNG';
  button.setAttribute('aria-label', 'PNG of: ' + svg.querySelector('title').textContent);
  button.addEventListener('click', () => download(svg, button));
  svg.closest('figure').querySelector('figcaption').append(button);
}
)js";

}  // namespace garrison
