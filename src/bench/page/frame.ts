/** What all benchmark pages have around them: the app's bar and foot, with the pages to choose from. */

import { html, nothing, type TemplateResult } from 'lit';
import { remember, remembered } from '../../app/remember.ts';
import { BENCHMARKS } from '../benchmarks.ts';

const DARK = matchMedia('(prefers-color-scheme: dark)');

/** The system's choice until the person has made one, here or in the app. */
export function applyTheme(): void {
  document.documentElement.dataset.theme = remembered().theme ?? (DARK.matches ? 'dark' : 'light');
}
DARK.addEventListener('change', applyTheme);

function toggleTheme(): void {
  remember({ theme: document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark' });
  applyTheme();
}

export function frame(current: string | undefined, content: TemplateResult): TemplateResult {
  const link = (file: string, label: string, name?: string) =>
    html`<a href="./${file}" aria-current=${name === current ? 'page' : nothing}>${label}</a>`;
  return html`
    <header class="bar">
      <a class="brand" href="../" aria-label="HySparK, the app"><img src=${ICON} alt="" width="22" height="22" /><span>HySparK</span></a>
      <nav aria-label="Benchmarks">
        ${link('', 'Benchmarks')} ${BENCHMARKS.map(({ name, title }) => link(`${name}.html`, title, name))}
      </nav>
      <span class="spring"></span>
      <button class="quiet" @click=${toggleTheme} title="Light or dark" aria-label="Switch between light and dark">
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.4"></circle>
          <path d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor"></path>
        </svg>
      </button>
    </header>
    <main class="bench">${content}</main>
    <footer>
      <span>Nothing leaves this page: benchmarks use made data, and results stay here until you download them.</span>
      <span>commit ${__COMMIT__}</span>
    </footer>
  `;
}

/** Beside the page's folder, wherever the site is served from. */
const ICON = '../icon.svg';
