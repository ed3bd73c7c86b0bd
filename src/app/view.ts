/** What all components share: light DOM (one style sheet, plain labels for assistive technology) and models that redraw them. */

import { LitElement, type PropertyDeclarations } from 'lit';

/** State that components look at. */
export class Model {
  readonly #listeners = new Set<() => void>();

  /** Calls `listener` after each change, until the function returned is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  protected changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

export abstract class View extends LitElement {
  static override properties: PropertyDeclarations = {};
  /** Redrawn when one of these changes. */
  protected readonly watched: readonly Model[] = [];
  #ends: (() => void)[] = [];

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    const redraw = () => this.requestUpdate();
    this.#ends = this.watched.map((model) => model.subscribe(redraw));
    // Canvases are empty after the browser has lost the GPU.
    this.addEventListener('contextrestored', redraw, { capture: true });
    this.#ends.push(() => this.removeEventListener('contextrestored', redraw, { capture: true }));
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const end of this.#ends) end();
  }
}
