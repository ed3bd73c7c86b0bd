/** How much room prepared scans take in the browser's storage, and a button that makes it free. */

import { html, nothing } from 'lit';
import { session } from './state.ts';
import { bytes, sentence } from './text.ts';
import { View } from './view.ts';

class StorageView extends View {
  protected override readonly watched = [session];
  #problem: string | undefined;

  protected override render() {
    const { preparedBytes, live } = session;
    const problem = this.#problem ? html`<p class="message bad" role="alert">${this.#problem}</p>` : nothing;
    if (!preparedBytes) return problem;
    return html`
      <p class="muted small">
        Prepared scans: ${bytes(preparedBytes)}. They are copies of the scans that runs were trained on, resampled to 1.5 mm and kept in this
        browser so that later runs start sooner. Where they are missing they are made again from the scans.
      </p>
      ${problem}
      <button ?disabled=${live} title=${live ? 'Not while a run is under way' : ''} @click=${this.#clear}>Delete prepared scans</button>
    `;
  }

  async #clear(): Promise<void> {
    this.#problem = undefined;
    try {
      await session.clearPrepared();
    } catch (error) {
      this.#problem = sentence(error);
    }
    this.requestUpdate();
  }
}

customElements.define('hy-storage', StorageView);
