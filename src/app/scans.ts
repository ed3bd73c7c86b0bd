/** The list of scans: what was given, what was found in it, what each is. */

import type { Audit } from '../data/audit.ts';
import { discover } from '../data/discover.ts';
import { distinctPath, type FoundFile, reasonOf, type ScanSource } from '../data/source.ts';
import { browserPlatform } from '../data/worker/browser-platform.ts';
import { remembered, rememberSamples } from './remember.ts';
import { ScanClient } from './scan-client.ts';
import type { Look, Thumbnail, ViewVolume } from './scan-protocol.ts';
import { sentence } from './text.ts';
import { Model } from './view.ts';

export interface ScanItem {
  readonly id: number;
  readonly path: string;
  readonly kind: string;
  /** Bytes of its files. */
  readonly size: number;
  readonly source?: ScanSource;
  readonly sample: boolean;
  state: 'waiting' | 'reading' | 'ready' | 'bad';
  reason?: string;
  hash?: string;
  audit?: Audit;
  thumbnail?: Thumbnail;
}

export interface ReadingProgress {
  readonly what: string;
  readonly done: number;
  readonly total: number;
}

export const SAMPLE_COUNT = 6;

export class Scans extends Model {
  items: ScanItem[] = [];
  selected: ScanItem | undefined;
  /** Files that have nothing to do with scans. */
  ignored = 0;
  /** While files are searched and scans are read. */
  progress: ReadingProgress | undefined;
  /** Why the last thing asked for did not work. */
  problem: string | undefined;

  /** Two: one for the list, one so that the viewer need not wait for it. */
  readonly #reader = new ScanClient();
  readonly #viewer = new ScanClient();
  #nextId = 1;
  #reading = false;

  get usable(): ScanItem[] {
    return this.items.filter(({ state }) => state === 'ready');
  }

  get busy(): boolean {
    return this.progress !== undefined;
  }

  /** The files of the usable scans, for a run. */
  get files(): FoundFile[] {
    // Scans added one after another may have equal paths, by which a header would find the other's image.
    return this.usable.flatMap(({ id, path, source }) =>
      source!.files.map((file) => (path === source!.path ? file : { ...file, path: `(${id})/${file.path}` })),
    );
  }

  /** Finds the scans among `files` and reads them, one after the other. */
  async add(files: readonly FoundFile[], sample = false): Promise<void> {
    this.problem = undefined;
    if (files.length === 0) return;
    this.#show('Looking through files', 0, files.length);
    try {
      const found = await discover(files, browserPlatform.open, (done) => {
        if (done % 50 === 0) this.#show('Looking through files', done, files.length);
      });
      this.ignored += found.ignored;
      const known = new Set(this.items.map(({ source }) => source && sameAs(source)));
      const taken = new Set(this.items.map(({ path }) => path));
      const added = found.scans.filter((source) => !known.has(sameAs(source)));
      for (const source of added) {
        const size = source.files.reduce((sum, file) => sum + file.size, 0);
        const path = distinctPath(source.path, taken);
        this.items.push({ id: this.#nextId++, path, kind: source.kind, size, source, sample, state: 'waiting' });
      }
      if (added.length === 0 && found.scans.length > 0) this.problem = 'The list has these scans already.';
      for (const { path, reason } of found.setAside) this.#addBad(path, reason);
      if (found.scans.length + found.setAside.length === 0) {
        this.problem = `None of the ${files.length} files is a scan. NIfTI (.nii, .nii.gz, .hdr + .img) and DICOM are read.`;
      }
    } catch (error) {
      this.problem = reasonOf(error);
    }
    await this.#readWaiting();
  }

  /** Adds what a picker or a drop gives, once it does; undefined when the person changed their mind. */
  async addFrom(files: Promise<readonly FoundFile[] | undefined>): Promise<void> {
    try {
      const found = await files;
      if (found) await this.add(found);
    } catch (error) {
      this.problem = sentence(error);
      this.changed();
    }
  }

  /** Makes the sample scans. */
  async addSamples(): Promise<void> {
    this.problem = undefined;
    const files: FoundFile[] = [];
    try {
      for (let i = 0; i < SAMPLE_COUNT; i++) {
        this.#show('Making sample scans', i, SAMPLE_COUNT);
        const file = await this.#reader.run((service) => service.sample(i));
        files.push({ path: `samples/${file.name}`, size: file.size, handle: file });
      }
      rememberSamples(true);
    } catch (error) {
      this.problem = sentence(error);
    }
    await this.add(files, true);
  }

  /** What the last visit worked on, as far as the browser lets us have it again: sample scans. */
  async restore(): Promise<void> {
    if (remembered().samples && this.items.length === 0) await this.addSamples();
  }

  select(item: ScanItem | undefined): void {
    this.selected = item;
    this.changed();
  }

  remove(item: ScanItem): void {
    const at = this.items.indexOf(item);
    this.items.splice(at, 1);
    if (this.selected === item) this.selected = this.items.slice(at).concat(this.items).find(isReady);
    if (!this.items.some(({ sample }) => sample)) rememberSamples(false);
    this.changed();
  }

  clear(): void {
    this.items = [];
    this.selected = undefined;
    this.ignored = 0;
    this.problem = undefined;
    rememberSamples(false);
    this.changed();
  }

  /** The scan's voxels for the viewer. */
  volume(item: ScanItem): Promise<ViewVolume> {
    return this.#viewer.run((service) => service.volume(item.source!));
  }

  async #readWaiting(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    for (let item = this.#nextWaiting(); item; item = this.#nextWaiting()) {
      item.state = 'reading';
      const left = this.items.filter(({ state }) => state === 'waiting').length + 1;
      this.#show('Reading scans', this.items.length - left, this.items.length);
      const { source } = item;
      const look = await this.#reader
        .run((service) => service.look(source!))
        .catch((error: unknown): Look => ({ usable: false, hash: '', reason: reasonOf(error) }));
      this.#took(item, look);
    }
    this.#reading = false;
    this.progress = undefined;
    this.changed();
  }

  #took(item: ScanItem, look: Look): void {
    item.hash = look.hash;
    const same = this.items.find((other) => other !== item && other.state === 'ready' && other.hash === look.hash);
    if (!look.usable || same) {
      item.state = 'bad';
      item.reason = look.usable ? `The same as ${same!.path}.` : look.reason;
      return;
    }
    item.state = 'ready';
    item.audit = look.audit;
    item.thumbnail = look.thumbnail;
    this.selected ??= item;
  }

  #addBad(path: string, reason: string): void {
    this.items.push({ id: this.#nextId++, path, kind: '', size: 0, sample: false, state: 'bad', reason });
  }

  #nextWaiting(): ScanItem | undefined {
    return this.items.find(({ state }) => state === 'waiting');
  }

  #show(what: string, done: number, total: number): void {
    this.progress = { what, done, total };
    this.changed();
  }
}

/** What two additions of the same files on disk have in common. */
function sameAs({ path, files }: ScanSource): string {
  const dates = files.map(({ handle }) => (handle instanceof File ? handle.lastModified : 0));
  return [path, ...files.map(({ size }) => size), ...dates].join();
}

function isReady({ state }: ScanItem): boolean {
  return state === 'ready';
}
