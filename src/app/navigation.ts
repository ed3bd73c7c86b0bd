/**
 * Which page of the app is open, and on the page of runs which run: the part of the address after `#`, so that back and reload do what one
 * expects.
 */

import { Model } from './view.ts';

export const PAGES = [
  { name: 'scans', label: 'Scans' },
  { name: 'train', label: 'Train' },
  { name: 'runs', label: 'Runs' },
  { name: 'device', label: 'This device' },
] as const;
export type PageName = (typeof PAGES)[number]['name'];

export class Navigation extends Model {
  constructor() {
    super();
    addEventListener('hashchange', () => this.changed());
  }

  get page(): PageName {
    const [name] = this.#parts();
    return PAGES.find((page) => page.name === name)?.name ?? 'scans';
  }

  /** The run that the address names. */
  get run(): string | undefined {
    const [page, id] = this.#parts();
    return page === 'runs' ? id : undefined;
  }

  go(page: PageName, run?: string): void {
    location.hash = address(page, run);
  }

  /** Names the run that is shown in the address, without a step in the browser's history. */
  nameRun(run: string): void {
    history.replaceState(history.state, '', `#${address('runs', run)}`);
    this.changed();
  }

  /** For a link to a page. To the open one it is the address of now: no step in the browser's history leads there. */
  addressOf(page: PageName): string {
    return page === this.page && location.hash ? location.hash : `#${page}`;
  }

  #parts(): string[] {
    return location.hash.slice(1).split('/').map(decoded);
  }
}

function address(page: PageName, run?: string): string {
  return run === undefined ? page : `${page}/${encodeURIComponent(run)}`;
}

/** An address typed by hand may hold anything. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
