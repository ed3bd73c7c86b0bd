/** The letters at the edges of a slice that say how the body lies in it. */

import { html } from 'lit';
import type { Plane } from './slices.ts';

const SIDES = ['left', 'right', 'top', 'bottom'] as const;

/** For eyes alone: twelve pictures would be read out with four letters each. */
export function edgeLetters({ edges }: Plane) {
  return SIDES.map((side, i) => html`<span class="edge ${side}" aria-hidden="true">${edges[i]}</span>`);
}
