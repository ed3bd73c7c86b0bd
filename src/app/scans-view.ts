/** The page of scans: the list, and the viewer of the selected one. */

import { html, nothing } from 'lit';
import { filesFromInput } from '../data/browser-files.ts';
import { hasFolderPicker, pickFolder, reopenFolder } from './folders.ts';
import { rememberedFolder } from './remember.ts';
import { READING, SAMPLE_COUNT, type ScanItem } from './scans.ts';
import { navigation, scans } from './state.ts';
import { bytes, countText, fileName, hu, plural, shape, sizes } from './text.ts';
import './thumbnail.ts';
import { View } from './view.ts';
import './viewer.ts';

class ScansView extends View {
  protected override readonly watched = [scans];
  #earlier: FileSystemDirectoryHandle | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    void rememberedFolder().then((handle) => {
      this.#earlier = handle;
      this.requestUpdate();
    });
  }

  protected override render() {
    return scans.items.length === 0 && !scans.busy ? this.#empty() : this.#list();
  }

  #empty() {
    return html`
      <section class="welcome">
        <h1>Pre-train on your own CT scans</h1>
        <p class="lead">
          HySparK learns the anatomy in unlabelled CT by reconstructing what is hidden from it. It runs on this machine’s GPU, in this
          page: no upload, no installation, and the weights open in PyTorch.
        </p>
        ${this.#problem()}
        <div class="dropzone">
          <p class="big">Drop scans or folders anywhere</p>
          <p class="muted">NIfTI (.nii, .nii.gz, .hdr + .img) · DICOM series · nnU-Net and Decathlon folders</p>
          <div class="row centre">${this.#buttons(true)}</div>
        </div>
        <ol class="steps">
          <li><b>Look.</b> Every scan is checked: size, spacing, orientation, Hounsfield range. What is no CT is set aside, with its reason.</li>
          <li><b>Pre-train.</b> Choose a network that fits this GPU. Losses and reconstructions show whether it learns.</li>
          <li><b>Take away.</b> Weights as .pth or .safetensors, and a report. Stop and continue whenever you like.</li>
        </ol>
      </section>
    `;
  }

  #list() {
    const { items, usable, ignored } = scans;
    const bad = items.filter(({ state }) => state === 'bad').length;
    return html`
      <section class="side" aria-label="Scans">
        <div class="row toolbar"><h1>Scans</h1>${this.#buttons(false)}</div>
        ${this.#problem()} ${this.#progress()}
        <ul class="scan-list">
          ${items.map((item) => this.#row(item))}
        </ul>
        <div class="row summary">
          <span class="muted">
            ${plural(usable.length, 'scan')}${bad > 0 ? `, ${bad} set aside` : ''}${ignored > 0 ? `, ${plural(ignored, 'other file')} ignored` : ''}
          </span>
          <span class="spring"></span>
          <button class="quiet" ?disabled=${scans.busy} @click=${() => scans.clear()}>Clear</button>
          <button class="primary" ?disabled=${usable.length === 0 || scans.busy} @click=${() => navigation.go('train')}>Train on ${usable.length === 1 ? 'it' : 'these'}</button>
        </div>
      </section>
      <hy-viewer .item=${scans.selected}></hy-viewer>
    `;
  }

  #row(item: ScanItem) {
    const { state, audit, path, reason } = item;
    const name = fileName(path);
    const selected = scans.selected === item;
    return html`
      <li class="scan ${state} ${selected ? 'selected' : ''}">
        <button class="scan-main" ?disabled=${state !== 'ready'} aria-pressed=${selected} title=${path} @click=${() => scans.select(item)}>
          <hy-thumbnail .thumbnail=${item.thumbnail} .state=${state}></hy-thumbnail>
          <span class="scan-text">
            <span class="scan-name">${name}</span>
            ${
              audit
                ? html`
                    <span class="facts">
                      <span>${shape(audit.shape)}</span><span>${sizes(audit.spacing, 'mm')}</span><span>${audit.orientation}</span>
                      <span>${hu(audit.hu.min, audit.hu.max)}</span><span>${item.kind}, ${bytes(item.size)}</span>
                    </span>
                    ${audit.notes.map((note) => html`<span class="note">${note}</span>`)}
                  `
                : html`<span class="facts">${state === 'bad' ? reason : state === 'reading' ? 'Reading…' : 'Waiting'}</span>`
            }
          </span>
        </button>
        <button class="quiet remove" aria-label="Remove ${name}" title="Remove" ?disabled=${state === 'reading'} @click=${() => scans.remove(item)}>×</button>
      </li>
    `;
  }

  #buttons(first: boolean) {
    const busy = scans.busy;
    return html`
      <button ?disabled=${busy} @click=${this.#folder}>Add a folder…</button>
      <button ?disabled=${busy} @click=${() => this.#input('files').click()}>Add files…</button>
      ${
        first && this.#earlier
          ? html`<button ?disabled=${busy} @click=${() => scans.addFrom((onFound) => reopenFolder(this.#earlier!, onFound))}>Open “${this.#earlier.name}” again</button>`
          : nothing
      }
      <button class=${first ? 'primary' : ''} ?disabled=${busy} title="${SAMPLE_COUNT} generated bodies: nothing in them is of a person" @click=${() => scans.addSamples()}>
        ${first ? 'Try with sample scans' : 'Sample scans'}
      </button>
      <input type="file" class="files" multiple hidden aria-label="Scan files" @change=${this.#chosen} />
      <input type="file" class="folder" webkitdirectory hidden aria-label="Scan folder" @change=${this.#chosen} />
    `;
  }

  #progress() {
    const { progress } = scans;
    if (!progress) return nothing;
    const { what, done, of } = progress;
    return html`
      <div class="reading">
        <div class="row">
          <span><span role="status">${what}…</span> <span aria-hidden="true">${countText(progress)}</span></span><span class="spring"></span>
          ${
            what === READING
              ? html`<button class="quiet" title="What was not read yet leaves the list" @click=${() => scans.stopReading()}>Cancel</button>`
              : nothing
          }
        </div>
        <progress max=${of ?? nothing} value=${of === undefined ? nothing : done} aria-label=${what}></progress>
      </div>
    `;
  }

  #problem() {
    return scans.problem ? html`<p class="message bad" role="alert">${scans.problem}</p>` : nothing;
  }

  #input(name: string): HTMLInputElement {
    return this.querySelector<HTMLInputElement>(`input.${name}`)!;
  }

  #folder(): void {
    if (hasFolderPicker()) void scans.addFrom(pickFolder);
    else this.#input('folder').click();
  }

  #chosen(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = filesFromInput(input.files ?? []);
    input.value = ''; // so that the same choice counts again
    void scans.add(files);
  }
}

customElements.define('hy-scans', ScansView);
