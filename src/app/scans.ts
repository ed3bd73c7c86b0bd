/** The list of scans: what was given, what was found in it, what each is. */

import type { Audit } from '../data/audit.ts';
import type { OnFound } from '../data/browser-files.ts';
import { type Discovery, discover } from '../data/discover.ts';
import { distinctPath, type FoundFile, reasonOf, type ScanSource } from '../data/source.ts';
import { browserPlatform } from '../data/worker/browser-platform.ts';
import { remember, remembered } from './remember.ts';
import { ScanClient } from './scan-client.ts';
import type { Look, Thumbnail, ViewVolume } from './scan-protocol.ts';
import { type Count, sentence } from './text.ts';
import { Model } from './view.ts';

export interface ScanItem {
  readonly id: number;
  readonly path: string;
  readonly kind: string;
  /** Bytes of its files. */
  readonly size: number;
  readonly source?: ScanSource;
  /** Its number in the sample collection. */
  readonly sample?: number;
  state: 'waiting' | 'reading' | 'ready' | 'bad';
  reason?: string;
  /** The scan in the list that it is a copy of. */
  sameAs?: ScanItem;
  hash?: string;
  audit?: Audit;
  thumbnail?: Thumbnail;
}

export interface ReadingProgress extends Count {
  readonly what: string;
}

export const SAMPLE_COUNT = 6;
export const READING = 'Reading scans';
/** Files found between two redraws. */
const REDRAW_FILES = 100;
/** Before that, what is left of the reading is a guess. */
const FIRST_ESTIMATE_MS = 3000;

/** Where scans are read: a worker. */
type Reader = Pick<ScanClient, 'run'>;

export class Scans extends Model {
  items: ScanItem[] = [];
  selected: ScanItem | undefined;
  /** Why the last thing asked for did not work. */
  problem: string | undefined;

  /** Two: one for the list, one so that the viewer need not wait for it. */
  readonly #reader: Reader;
  readonly #viewer: Reader;
  /** Files that have nothing to do with scans: those given twice are no others. */
  readonly #ignored = new Set<string>();
  #nextId = 1;
  /** Files may be searched, and samples made, while scans are read. */
  #searching: ReadingProgress | undefined;
  #reading: ReadingProgress | undefined;

  constructor(reader: Reader = new ScanClient(), viewer: Reader = new ScanClient()) {
    super();
    this.#reader = reader;
    this.#viewer = viewer;
  }

  get usable(): ScanItem[] {
    return this.items.filter(({ state }) => state === 'ready');
  }

  /** How many files have nothing to do with scans. */
  get ignored(): number {
    return this.#ignored.size;
  }

  /** While files are searched and scans are read. */
  get progress(): ReadingProgress | undefined {
    return this.#reading ?? this.#searching;
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

  /** Finds the scans among `files` and reads them, one after the other. `samples` are numbers of sample scans, by path. */
  async add(files: readonly FoundFile[], samples?: ReadonlyMap<string, number>): Promise<void> {
    this.problem = undefined;
    if (files.length === 0) return;
    this.#search('Looking through files', 0, files.length);
    try {
      const found = await discover(files, browserPlatform.open, (done) => {
        if (done % 50 === 0) this.#search('Looking through files', done, files.length);
      });
      this.#countIgnored(files, found);
      const known = new Set(this.items.map(({ source }) => source && sameAs(source)));
      const taken = new Set(this.items.map(({ path }) => path));
      const added = found.scans.filter((source) => !known.has(sameAs(source)));
      for (const source of added) {
        const size = source.files.reduce((sum, file) => sum + file.size, 0);
        const [path, sample] = [distinctPath(source.path, taken), samples?.get(source.path)];
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
    this.#rememberSamples();
    this.#rest();
    await this.#readWaiting();
  }

  /**
   * Adds what a picker or a drop gives, once it does; `find` is called at once and gives undefined when the person changed their mind.
   */
  async addFrom(find: (onFound: OnFound) => Promise<readonly FoundFile[] | undefined>): Promise<void> {
    this.problem = undefined;
    try {
      const found = await find((count) => {
        if (count % REDRAW_FILES === 0) this.#search('Looking through folders', count);
      });
      if (found && found.length > 0) return await this.add(found);
      if (found) this.problem = 'No files were found: the folder is empty.';
    } catch (error) {
      this.problem = sentence(error);
    }
    this.#rest();
  }

  /** Makes sample scans, all or those of these numbers. */
  async addSamples(numbers: readonly number[] = Array.from({ length: SAMPLE_COUNT }, (_, i) => i)): Promise<void> {
    this.problem = undefined;
    const files: FoundFile[] = [];
    const samples = new Map<string, number>();
    try {
      for (const number of numbers) {
        this.#search('Making sample scans', files.length, numbers.length);
        const file = await this.#reader.run((service) => service.sample(number));
        const path = `samples/${file.name}`;
        files.push({ path, size: file.size, handle: file });
        samples.set(path, number);
      }
      await this.add(files, samples);
    } catch (error) {
      this.problem = sentence(error);
      this.#rest();
    }
  }

  /** What the last visit worked on, as far as the browser lets us have it again: sample scans. */
  async restore(): Promise<void> {
    const { samples } = remembered();
    if (Array.isArray(samples) && samples.length > 0 && this.items.length === 0) await this.addSamples(samples);
  }

  select(item: ScanItem | undefined): void {
    this.selected = item;
    this.changed();
  }

  remove(item: ScanItem): void {
    const at = this.items.indexOf(item);
    this.items.splice(at, 1);
    if (this.selected === item) this.selected = this.items.slice(at).concat(this.items).find(isReady);
    // One of its copies takes its place.
    for (const copy of this.items.filter((other) => other.sameAs === item)) {
      Object.assign(copy, { state: 'waiting', reason: undefined, sameAs: undefined });
    }
    this.#rememberSamples();
    this.changed();
    void this.#readWaiting();
  }

  clear(): void {
    this.items = [];
    this.selected = undefined;
    this.problem = undefined;
    this.#ignored.clear();
    this.#rememberSamples();
    this.changed();
  }

  /** Leaves what was not read yet out of the list. */
  stopReading(): void {
    this.items = this.items.filter(({ state }) => state !== 'waiting');
    this.#rememberSamples();
    this.changed();
  }

  /** The scan's voxels for the viewer. */
  volume(item: ScanItem): Promise<ViewVolume> {
    return this.#viewer.run((service) => service.volume(item.source!));
  }

  async #readWaiting(): Promise<void> {
    if (this.#reading) return;
    const start = performance.now();
    let bytesRead = 0;
    for (let item = this.#nextWaiting(); item; item = this.#nextWaiting()) {
      item.state = 'reading';
      const left = this.items.filter(({ state }) => state === 'waiting' || state === 'reading');
      const elapsed = performance.now() - start;
      const bytesLeft = left.reduce((sum, { size }) => sum + size, 0);
      const secondsLeft = elapsed > FIRST_ESTIMATE_MS ? ((elapsed / bytesRead) * bytesLeft) / 1000 : undefined;
      const of = this.items.length;
      this.#reading = { what: READING, done: of - left.length, of, secondsLeft };
      this.changed();
      const { source } = item;
      const look = await this.#reader
        .run((service) => service.look(source!))
        .catch((error: unknown): Look => ({ usable: false, hash: '', reason: reasonOf(error) }));
      bytesRead += item.size;
      this.#took(item, look);
    }
    this.#reading = undefined;
    this.changed();
  }

  #took(item: ScanItem, look: Look): void {
    item.hash = look.hash;
    const same = this.items.find((other) => other !== item && other.state === 'ready' && other.hash === look.hash);
    if (!look.usable || same) {
      item.state = 'bad';
      item.reason = look.usable ? `The same as ${same!.path}.` : look.reason;
      item.sameAs = same;
      return;
    }
    item.state = 'ready';
    item.audit = look.audit;
    item.thumbnail = look.thumbnail;
    this.selected ??= item;
  }

  #addBad(path: string, reason: string): void {
    if (this.items.some((item) => item.path === path && item.reason === reason)) return; // given before
    this.items.push({ id: this.#nextId++, path, kind: '', size: 0, state: 'bad', reason });
  }

  #nextWaiting(): ScanItem | undefined {
    return this.items.find(({ state }) => state === 'waiting');
  }

  #countIgnored(files: readonly FoundFile[], { scans, setAside }: Discovery): void {
    const used = new Set(scans.flatMap((scan) => scan.files));
    const refused = new Set(setAside.map(({ path }) => path));
    const ignored = files.filter((file) => !used.has(file) && !refused.has(file.path));
    for (const { path, size } of ignored) this.#ignored.add(`${path} ${size}`);
  }

  #rememberSamples(): void {
    remember({ samples: this.items.flatMap(({ sample }) => sample ?? []) });
  }

  #search(what: string, done: number, of?: number): void {
    this.#searching = { what, done, of };
    this.changed();
  }

  /** Nothing is searched or made any more; scans may still be read. */
  #rest(): void {
    this.#searching = undefined;
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
