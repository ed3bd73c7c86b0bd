/** A run on one page, `report.html`: verdict, curves, pictures, settings. One file without scripts and without anything fetched. */

import type { RunFolder } from './folder.ts';
import { evaluationsOf } from './judge.ts';
import { ticks } from './ticks.ts';
import type { MetricsRow, RunResult } from './types.ts';

type StepRow = Extract<MetricsRow, { kind: 'step' }>;

/** Pictures shown: the first, the last, and some between. */
const MOST_PICTURES = 4;

/** Writes `report.html`. Its path, or undefined when it could not be kept. */
export async function writeReport(folder: RunFolder, result: RunResult, adapter: string): Promise<string | undefined> {
  const html = await reportHtml(folder, result, adapter);
  return (await folder.save('report.html', 'The report', new TextEncoder().encode(html))) ? 'report.html' : undefined;
}

async function reportHtml(folder: RunFolder, result: RunResult, adapter: string): Promise<string> {
  const { head, rows } = folder;
  const steps = rows.filter((row) => row.kind === 'step');
  const judged = evaluationsOf(rows);
  const { config, plan, collection } = head;
  const { model, ...recipe } = config;
  const losses: Line[] = [
    { name: 'each step', colour: '#a5c3ee', width: 1, points: thinned(steps, ({ loss }) => loss) },
    { name: 'training, mean', colour: '#3b78c9', width: 2, points: runningMean(steps) },
    { name: 'held out', colour: '#d9480f', width: 2.5, points: judged.map(({ step, loss }) => [step, loss]) },
  ];
  const levels: Level[] = result.baselines
    ? [
        { name: `patch mean ${result.baselines.patchMean.toFixed(3)}`, value: result.baselines.patchMean },
        { name: `smooth fill ${result.baselines.smoothFill.toFixed(3)}`, value: result.baselines.smoothFill },
      ]
    : [];
  const rates: Line[] = [
    { name: 'learning rate', colour: '#2b8a3e', width: 2, points: thinned(steps, ({ learningRate }) => learningRate) },
  ];
  const speed = steps.at(-1);
  const facts: [string, string][] = [
    ['steps', `${result.step} of ${result.steps}`],
    ['training loss', result.loss?.toFixed(4) ?? '–'],
    ['held-out loss', result.evaluation?.loss.toFixed(4) ?? '–'],
    ['patch mean / smooth fill', levels.map(({ value }) => value.toFixed(4)).join(' / ') || '–'],
    ['scans', `${collection.training.length} for training, ${collection.heldOut.length} held out`],
    ['crops a second', speed?.cropsPerSecond.toFixed(2) ?? '–'],
    ['GPU waited for data', speed ? `${(100 * speed.waitedShare).toFixed(1)} % of the time` : '–'],
    ['GPU memory, planned', `${(plan.bytes.peak / 2 ** 20).toFixed(0)} MiB`],
    ['trained numbers', plan.parameters.toLocaleString('en')],
    ['adapter', adapter],
    ['engine', `hyspark-webgpu ${head.engine}`],
    ['begun', new Date(head.created).toISOString()],
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>HySparK run ${escapeHtml(result.id)}</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
.verdict { font-size: 1.15rem; border-left: 4px solid #d9480f; padding-left: .8rem; }
.error { border-color: #c92a2a; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; }
.settings { columns: 2; } .settings div { display: grid; grid-template-columns: 10rem 1fr; break-inside: avoid; }
table { border-collapse: collapse; } td, th { padding: .15rem 1rem .15rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; } svg { width: 100%; height: auto; } img { max-width: 100%; }
code { font-size: .85rem; overflow-wrap: anywhere; } figure { margin: 0; } dl, dt, dd { margin: 0; } dt { font-weight: 600; }
</style></head><body>
<h1>Run ${escapeHtml(result.id)}: ${result.phase}</h1>
<p class="verdict">${escapeHtml(result.verdict.sentence)}</p>
${result.error ? `<p class="verdict error">${escapeHtml(sentenceOf(result))}</p>` : ''}
<h2>Loss</h2>
<p>Squared error of the hidden patches, each normalised by its own mean and deviation. The dashed lines are what needs no network.</p>
${chart(losses, levels)}
<h2>Reconstructions of a ${collection.heldOut.length > 0 ? 'held-out' : 'training'} crop</h2>
<div class="pictures">${(await pictures(folder)).join('\n')}</div>
<h2>Numbers</h2>
<table>${facts.map(([name, value]) => `<tr><th>${name}</th><td>${escapeHtml(value)}</td></tr>`).join('')}</table>
<h2>Learning rate</h2>
${chart(rates, [])}
<h2>Settings</h2>
<dl class="settings">${[...Object.entries(recipe), ...Object.entries(model)].map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(String(value).replaceAll(',', ', '))}</dd></div>`).join('')}</dl>
<h2>Scans</h2>
<p>By content hash. Training: <code>${collection.training.join(' ')}</code></p>
<p>Held out: <code>${collection.heldOut.join(' ') || 'none'}</code></p>
</body></html>
`;
}

function sentenceOf({ error }: RunResult): string {
  const { doing, got, need, advice } = error!;
  return `${doing}${got ? `: ${got}` : ''}${need ? `; needed: ${need}` : ''}.${advice ? ` ${advice}.` : ''}`;
}

async function pictures(folder: RunFolder): Promise<string[]> {
  const files = await folder.store.list('previews/').catch(() => []);
  const chosen = new Set(
    Array.from({ length: MOST_PICTURES }, (_, i) => Math.round((i * (files.length - 1)) / (MOST_PICTURES - 1))),
  );
  const figures: string[] = [];
  for (const i of chosen) {
    const path = files[i]?.path;
    const png = path && (await folder.store.read(path).catch(() => undefined));
    if (!png) continue;
    const name = `step ${Number(/\d+/.exec(path)![0])}`;
    figures.push(`<figure><img alt="Reconstruction at ${name}" src="data:image/png;base64,${base64(png)}"></figure>`);
  }
  return figures;
}

interface Line {
  readonly name: string;
  readonly colour: string;
  readonly width: number;
  readonly points: readonly (readonly [number, number])[];
}
interface Level {
  readonly name: string;
  readonly value: number;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [960, 320, 64, 30, 28, 20];

/** An SVG of lines over steps and of horizontal levels. */
function chart(allLines: readonly Line[], allLevels: readonly Level[]): string {
  const lines = allLines.map((line) => ({ ...line, points: line.points.filter(([, y]) => Number.isFinite(y)) }));
  const levels = allLevels.filter(({ value }) => Number.isFinite(value));
  const points = lines.flatMap((line) => line.points);
  if (points.length === 0) return '<p>Nothing to draw yet.</p>';
  const ys = [...points.map(([, y]) => y), ...levels.map(({ value }) => value)].sort((a, b) => a - b);
  const [x0, x1] = [points.reduce((a, [x]) => Math.min(a, x), Infinity), points.reduce((a, [x]) => Math.max(a, x), 0)];
  // The first steps may be far above the rest: the top 2 % of the values may leave the picture.
  const top = Math.max(ys[Math.floor(0.98 * (ys.length - 1))]!, ...levels.map(({ value }) => value));
  const [low, high] = padded(ys[0]!, top);
  const px = (x: number) => LEFT + ((x - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - RIGHT);
  const py = (y: number) => HEIGHT - BOTTOM - ((Math.min(y, high) - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
  const parts: string[] = [];
  for (const y of ticks(low, high, 6)) {
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(y)}" y2="${py(y)}" stroke="currentColor" opacity=".12"/>`,
      `<text x="${LEFT - 6}" y="${py(y) + 4}" text-anchor="end">${Number(y.toPrecision(4))}</text>`,
    );
  }
  for (const x of ticks(x0, x1, 8).filter(Number.isInteger)) {
    parts.push(`<text x="${px(x)}" y="${HEIGHT - 8}" text-anchor="middle">${x}</text>`);
  }
  for (const { name, value } of levels) {
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(value)}" y2="${py(value)}" stroke="currentColor" stroke-dasharray="6 4" opacity=".6"/>`,
      `<text x="${WIDTH - RIGHT}" y="${py(value) - 5}" text-anchor="end">${escapeHtml(name)}</text>`,
    );
  }
  lines.forEach(({ name, colour, width, points: line }, i) => {
    const path = line.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(' ');
    parts.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="${width}"/>`,
      `<text x="${LEFT + 8 + 120 * i}" y="16" fill="${colour}" font-weight="600">${escapeHtml(name)}</text>`,
    );
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${lines.map(({ name }) => escapeHtml(name)).join(' and ')} over steps" font-size="12" fill="currentColor">${parts.join('')}</svg>`;
}

function padded(low: number, high: number): [number, number] {
  const room = 0.05 * (high - low || Math.abs(high) || 1);
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

/** Means of neighbouring steps, at most about 400 points. */
function thinned(rows: readonly StepRow[], value: (row: StepRow) => number): [number, number][] {
  const size = Math.max(1, Math.ceil(rows.length / 400));
  const points: [number, number][] = [];
  for (let i = 0; i < rows.length; i += size) points.push([rows[i]!.step, mean(rows.slice(i, i + size), value)]);
  return points;
}

/** Over a tenth of the steps so far, at least five, at about 200 of them. */
function runningMean(rows: readonly StepRow[]): [number, number][] {
  const every = Math.max(1, Math.floor(rows.length / 200));
  return rows
    .map((row, i) => [row.step, i] as const)
    .filter(([, i]) => i >= 4 && i % every === 0)
    .map(([step, i]) => [step, mean(rows.slice(Math.max(0, i + 1 - Math.max(5, i / 10)), i + 1), ({ loss }) => loss)]);
}

function mean(rows: readonly StepRow[], value: (row: StepRow) => number): number {
  return rows.reduce((sum, row) => sum + value(row), 0) / rows.length;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}
