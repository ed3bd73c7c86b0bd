/** The script of all benchmark pages. `data-benchmark` of the page says which; without, it is the index. */

import '../../app/styles/theme.css';
import '../../app/styles/frame.css';
import '../../app/styles/controls.css';
import './bench.css';
import { html, render } from 'lit';
import { sentence } from '../../app/text.ts';
import { openDevice } from '../../gpu/device.ts';
import { BENCHMARKS } from '../benchmarks.ts';
import { BenchPage } from './bench-page.ts';
import { applyTheme, frame } from './frame.ts';

applyTheme();
const benchmark = BENCHMARKS.find(({ name }) => name === document.documentElement.dataset.benchmark);
if (benchmark) {
  const page = new BenchPage(benchmark);
  page.start(new URLSearchParams(location.search));
  // Opened to be described, and closed: the benchmark opens its own in its worker.
  openDevice().then(
    (device) => {
      page.showAdapter(device.report);
      device.dispose();
    },
    (error) => page.showAdapter(sentence(error)),
  );
} else {
  const index = html`
    <h1>Benchmarks</h1>
    <p class="lead">
      How fast the engine is on this device, in this browser. Each page compares its results with a reference before it measures anything, and gives
      medians with the fastest and the slowest, a plot, and a file to compare with others.
    </p>
    <ul class="pages">
      ${BENCHMARKS.map(
        ({ name, title, about }) => html`
          <li class="card">
            <h2><a href="./${name}.html">${title}</a></h2>
            <p>${about}</p>
            <a class="button" href="./${name}.html?run" aria-label="Run ${title}">Run</a>
          </li>
        `,
      )}
    </ul>
    <p class="muted">
      From a checkout, <code>npm run bench</code> runs them all, here or in Node, and compares with earlier results.
    </p>
  `;
  render(frame(undefined, index), document.body);
}
