/** Which page of the app is open: the part of the address after `#`, so that back and reload do what one expects. */

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
    return PAGES.find(({ name }) => `#${name}` === location.hash)?.name ?? 'scans';
  }

  go(page: PageName): void {
    location.hash = page;
  }
}
