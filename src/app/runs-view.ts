/** The page of stored runs: the list, what they take of the storage, and the selected one. */

import { html } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import type { RunListing } from '../index.ts';
import { navigation, session } from './state.ts';
import { bytes, loss, plural, runName } from './text.ts';
import { phaseName } from './train-view.ts';
import { View } from './view.ts';
import './run-view.ts';
import './storage-view.ts';

class RunsView extends View {
  protected override readonly watched = [session, navigation];
  /** Whether the list is of this visit to the page: a run that just ended may be missing in an older one. */
  #listed = false;
  #open: string | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    void session.list().then(() => {
      this.#listed = true;
      this.requestUpdate();
    });
  }

  /**
   * The run that the address names; the newest where it names none, and then that one for good: a list that changes must not put another
   * run in its place, and an older list may lack it.
   */
  protected override willUpdate(): void {
    const { stored } = session;
    const asked = navigation.run ?? this.#open;
    const found = stored?.find(({ id }) => id === asked) ?? (this.#listed ? stored?.[0] : undefined);
    this.#open = found?.id;
    if (found && navigation.page === 'runs' && navigation.run !== found.id) navigation.nameRun(found.id);
  }

  protected override render() {
    const { stored, storedProblem } = session;
    const open = stored?.find(({ id }) => id === this.#open);
    if (!this.#listed && !open) return html`<p class="muted placeholder">Looking for runs…</p>`;
    if (!stored || !open) {
      return html`
        <section class="nothing">
          <h1>${storedProblem ? 'The runs cannot be listed' : 'No runs yet'}</h1>
          ${
            storedProblem
              ? html`<p class="message bad" role="alert">${storedProblem}</p>`
              : html`<p class="muted">Runs are kept in this browser’s private storage: configuration, curves, checkpoints, pictures, report.</p>`
          }
          <button class="primary" @click=${() => navigation.go('train')}>Pre-train</button>
          <hy-storage></hy-storage>
        </section>
      `;
    }
    return html`
      <section class="side" aria-label="Runs">
        <ul class="run-list">${stored.map((run) => this.#row(run, run === open))}</ul>
        <p class="muted small">${plural(stored.length, 'run')}, ${bytes(stored.reduce((sum, run) => sum + run.bytes, 0))} in this browser’s storage.</p>
        <hy-storage></hy-storage>
      </section>
      <section class="run-detail">${keyed(open.id, html`<hy-run .run=${open}></hy-run>`)}</section>
    `;
  }

  #row({ id, phase, step, config, heldOutLoss }: RunListing, open: boolean) {
    return html`
      <li>
        <button class="run-row" aria-pressed=${open} @click=${() => navigation.go('runs', id)}>
          <span class="row"><b>${runName(id)}</b><span class="spring"></span><span class="phase ${phase}">${phaseName(phase)}</span></span>
          <span class="facts">${config.preset} · step ${step} of ${config.steps} · held-out ${loss(heldOutLoss)}</span>
        </button>
      </li>
    `;
  }
}

customElements.define('hy-runs', RunsView);
