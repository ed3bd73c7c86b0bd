/** The page of training: configuration, or the run under way: numbers, curves, reconstructions, log. */

import { html, nothing } from 'lit';
import { isLive, type RunPhase, type VerdictKind } from '../index.ts';
import type { CurrentRun } from './session.ts';
import { navigation, scans, session } from './state.ts';
import { bytes, clock, countText, digits, duration, loss, percent, plural, runName } from './text.ts';
import { View } from './view.ts';
import './config-view.ts';
import './curves-view.ts';
import './preview-view.ts';

const PHASES: Record<RunPhase, string> = {
  idle: 'Ready',
  preparing: 'Preparing',
  training: 'Training',
  paused: 'Paused',
  stopped: 'Stopped',
  finished: 'Finished',
  failed: 'Failed',
  interrupted: 'Interrupted',
};

export function phaseName(phase: RunPhase): string {
  return PHASES[phase];
}

const VERDICT_CLASS: Record<VerdictKind, string> = {
  unknown: '',
  'worse-than-mean': 'warn',
  'intensity-only': 'warn',
  'beats-smooth-fill': 'good',
};

class TrainView extends View {
  protected override readonly watched = [session, scans];
  #phase: RunPhase | undefined;

  protected override render() {
    const { run } = session;
    return run ? this.#run(run) : this.#configure();
  }

  #configure() {
    return html`
      <section class="configure">
        <h1>Pre-train</h1>
        ${this.#offer()} ${this.#scansLine()}
        <hy-config></hy-config>
      </section>
      <aside class="explain">
        <div>
          <h2>What happens</h2>
          <p>
            Each step draws crops from your scans, cuts them into patches of 16³ voxels and hides most of them. A convolutional encoder
            and a small transformer see the rest, and a decoder fills in what is hidden.
          </p>
        </div>
        <div>
          <h2>Is it learning?</h2>
          <p>
            Some scans are held out. On their crops the loss is compared with two reconstructions that need no learning: each patch’s
            <b>mean</b> (1.0), and a <b>smooth fill</b> from the visible voxels. A network that beats the second has learnt more than
            grey levels.
          </p>
        </div>
        <div>
          <h2>While it runs</h2>
          <p>
            Keep the tab open; other tabs and windows do not matter. Checkpoints are written as it goes: after a reload, a crash or a
            lost GPU you continue from the last one.
          </p>
        </div>
      </aside>
    `;
  }

  #offer() {
    const { resumable } = session;
    if (!resumable) return nothing;
    const { id, step, config } = resumable;
    return html`
      <div class="message notice" role="status">
        <span>The run of <b>${runName(id)}</b> was interrupted after step ${step} of ${config.steps}.${scans.usable.length === 0 ? ' Add its scans to continue it.' : ''}</span>
        <span class="spring"></span>
        <button class="primary" ?disabled=${!canResumeNow()} @click=${() => resumeRun(id)}>Continue it</button>
        <button class="quiet" aria-label="Dismiss" title="Dismiss: it stays among the runs" @click=${() => session.dismissOffer(resumable)}>×</button>
      </div>
    `;
  }

  #scansLine() {
    const count = scans.usable.length;
    if (scans.progress) return html`<p class="muted">${scans.progress.what}… ${countText(scans.progress)}</p>`;
    if (count > 0) return html`<p class="muted">On ${plural(count, 'scan')}. <a href="#scans">Look at them</a></p>`;
    return html`
      <div class="message notice">
        <span>No scans yet.</span><span class="spring"></span>
        <button @click=${() => navigation.go('scans')}>Add scans</button>
        <button @click=${() => scans.addSamples()}>Use sample scans</button>
      </div>
    `;
  }

  #run(run: CurrentRun) {
    const { phase, progress, preparation, config, verdict, error, curves } = run;
    const steps = progress?.steps ?? config?.steps ?? 0;
    return html`
      <section class="run-head">
        <div class="row">
          <h1><span class="phase ${phase}">${PHASES[phase]}</span> <span class="run-name">${runName(run.id)}</span></h1>
          <span class="spring"></span>
          ${this.#controls(run)}
        </div>
        ${
          preparation
            ? html`<progress class="steps-bar" max=${preparation.of} .value=${preparation.done} aria-label=${run.detail}></progress>`
            : html`<progress class="steps-bar" max=${steps || 1} .value=${progress?.step ?? 0} aria-label="Steps done"></progress>`
        }
        <dl class="numbers">
          ${this.#number('Step', progress ? `${progress.step} / ${progress.steps}` : '–')}
          ${this.#number('Training loss', loss(progress?.loss))}
          ${this.#number('Held-out loss', loss(curves.evaluations.at(-1)?.loss))}
          ${this.#number('Crops a second', digits(progress?.cropsPerSecond))}
          ${this.#number('Time left', progress && phase === 'training' ? duration(progress.secondsLeft) : '–')}
          ${this.#number('Learning rate', digits(progress?.learningRate))}
          ${this.#number('Epoch', progress ? String(progress.epoch + 1) : '–')}
          ${this.#number('GPU memory', run.plan ? bytes(run.plan.bytes.peak) : '–')}
          ${this.#number('GPU waited', progress ? percent(progress.waitedShare) : '–')}
        </dl>
        ${error ? html`<p class="message bad" role="alert">${error}</p>` : nothing}
        ${this.#warning()}
        ${this.#doing(run)}
        ${verdict?.sentence ? html`<p class="message verdict ${VERDICT_CLASS[verdict.kind]}" role="status">${verdict.sentence}</p>` : nothing}
      </section>
      <section class="card curves-card" aria-label="Curves">
        <h2>Loss</h2>
        <hy-curves .data=${curves} .steps=${steps} .version=${curves.steps.length + curves.evaluations.length}></hy-curves>
      </section>
      <section class="card preview-card" aria-label="Reconstructions">
        <h2>Reconstruction of a held-out crop</h2>
        <hy-preview .history=${run.previews} .version=${run.previews.moments.at(-1)?.step ?? -1}></hy-preview>
      </section>
      <section class="card log-card" aria-label="Log">
        <h2>Log</h2>
        ${this.#collection(run)}
        <ol class="log" tabindex="0" aria-label="Log, newest first">
          ${[...run.log].reverse().map(({ time, level, text }) => html`<li class=${level}><time>${clock(time)}</time> ${text}</li>`)}
        </ol>
      </section>
    `;
  }

  #warning() {
    const { warning } = session;
    if (!warning) return nothing;
    return html`
      <div class="message warn" role="alert">
        <span class="grow">${warning.text}</span>
        <button class="quiet" aria-label="Dismiss" title="Dismiss: it stays in the log" @click=${() => session.dismissWarning()}>×</button>
      </div>
    `;
  }

  /** What the run is at where it does not train: at once what was asked for, for that is done after the steps in flight only. */
  #doing({ phase, asked, started, detail, preparation }: CurrentRun) {
    let text = phase === 'preparing' ? detail || 'Preparing' : '';
    if (asked === 'pause') text = 'Pausing after this step';
    if (asked === 'stop') text = started ? 'Stopping after this step' : 'Cancelling';
    if (asked === 'stop' && phase === 'paused') text = 'Stopping';
    // The count is for the eye; whoever listens has it as the bar's value.
    const count = preparation && !asked ? html` <span aria-hidden="true">${countText(preparation)}</span>` : nothing;
    return text
      ? html`<p class="message notice" role="status"><span class="spinner"></span>${text}…${count}</p>`
      : nothing;
  }

  /**
   * The two buttons of a run under way are the same ones in all its phases, so that neither goes away under a finger or with the focus: a run
   * that gets a new GPU can be paused as well. Once one was pressed both wait: disabled in words only, which keeps the focus.
   */
  #controls(run: CurrentRun) {
    const { phase, asked, started } = run;
    if (isLive(phase)) {
      const isPaused = phase === 'paused';
      const isWaiting = asked !== undefined;
      return html`
        <button class=${isPaused ? 'primary' : ''} ?hidden=${phase === 'preparing' && !started} aria-disabled=${isWaiting} @click=${() => session.command(isPaused ? 'resume' : 'pause')}>${isPaused ? 'Resume' : 'Pause'}</button>
        <button aria-disabled=${isWaiting} @click=${() => session.command('stop')}>${started ? 'Stop' : 'Cancel'}</button>
      `;
    }
    return html`
      ${phase !== 'finished' && run.saved ? html`<button ?disabled=${!canResumeNow()} @click=${() => resumeRun(run.id)}>Continue</button>` : nothing}
      <button class=${run.saved ? '' : 'primary'} @click=${() => session.dismiss()}>New run</button>
      ${run.saved ? html`<button class="primary" @click=${() => navigation.go('runs', run.id)}>Take the weights</button>` : nothing}
    `;
  }

  /** A new run begins at the top, wherever the settings were scrolled to. */
  protected override updated(): void {
    const phase = session.run?.phase;
    if (phase === 'preparing' && phase !== this.#phase) this.closest('main')?.scrollTo(0, 0);
    this.#phase = phase;
  }

  #number(name: string, value: string) {
    return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  }

  #collection({ collection }: CurrentRun) {
    if (!collection) return nothing;
    const { training, heldOut, setAside } = collection;
    return html`
      <p class="muted small">
        ${plural(training.length, 'scan')} to train on, ${heldOut.length} held out${setAside.length > 0 ? `, ${setAside.length} set aside` : ''}.
      </p>
    `;
  }
}

/** Whether there is a GPU, and whether there are scans to go on with. */
export function canResumeNow(): boolean {
  return session.adapter !== undefined && scans.usable.length > 0 && !scans.busy;
}

/** Continues a stored run on the scans in the list. */
export function resumeRun(id: string): void {
  navigation.go('train');
  void session.start({ files: scans.files, resume: id });
}

customElements.define('hy-train', TrainView);
