/** What this browser offers that the app needs, and how to switch on what is missing. */

export interface Finding {
  readonly name: string;
  readonly state: 'yes' | 'no' | 'weak';
  readonly text: string;
}

/** For a server that does not answer. */
const POLICY_TIMEOUT_MS = 5000;

export async function findings(): Promise<Finding[]> {
  const gpu = 'gpu' in navigator;
  const found: Finding[] = [
    {
      name: 'Secure page',
      state: isSecureContext ? 'yes' : 'no',
      text: isSecureContext ? 'HTTPS, or this machine' : 'Browsers offer WebGPU on https:// and on localhost only',
    },
    {
      name: 'WebGPU',
      state: gpu ? 'yes' : 'no',
      text: gpu ? 'Offered by this browser' : 'Not offered by this browser',
    },
    {
      name: 'Volume view',
      state: hasWebGl2() ? 'yes' : 'no',
      text: hasWebGl2() ? 'WebGL 2' : 'WebGL 2 is off: slices are shown, volumes are not',
    },
    await storage(),
    await policy(),
    {
      name: 'Folders',
      state: 'showDirectoryPicker' in window ? 'yes' : 'weak',
      text:
        'showDirectoryPicker' in window
          ? 'Can be opened again after a reload'
          : 'Chosen or dropped anew after each reload',
    },
    {
      name: 'Staying awake',
      state: 'wakeLock' in navigator ? 'yes' : 'weak',
      text: 'wakeLock' in navigator ? 'While training' : 'Not offered: keep the machine from sleeping during a run',
    },
    {
      name: 'Processors',
      state: navigator.hardwareConcurrency > 1 ? 'yes' : 'weak',
      text: `${navigator.hardwareConcurrency} for reading and preparing scans`,
    },
  ];
  return found;
}

async function storage(): Promise<Finding> {
  try {
    await navigator.storage.getDirectory();
    const { quota = 0, usage = 0 } = await navigator.storage.estimate();
    const free = (quota - usage) / 2 ** 30;
    return {
      name: 'Storage',
      state: free > 2 ? 'yes' : 'weak',
      text: `${free.toPrecision(3)} GiB for runs and prepared scans`,
    };
  } catch {
    return {
      name: 'Storage',
      state: 'no',
      text: 'The private file system is off (a private window?): runs cannot be kept',
    };
  }
}

let policySent: Promise<boolean | undefined> | undefined;

/**
 * Whether the server sends the Content-Security-Policy as a header; undefined where it could not be asked. A page has it from its own `meta`
 * element too, but workers, which read the scans, take theirs from the header of their script: so a script of the app is asked for it, once.
 */
export function isPolicySent(): Promise<boolean | undefined> {
  policySent ??= askForPolicy();
  return policySent;
}

/** As scripts are asked for: some servers refuse HEAD, and what the browser has kept of the script answers without one. */
async function askForPolicy(): Promise<boolean | undefined> {
  try {
    const { ok, headers, body } = await fetch(import.meta.url, { signal: AbortSignal.timeout(POLICY_TIMEOUT_MS) });
    void body?.cancel();
    return ok ? /connect-src 'self'\s*([;,]|$)/.test(headers.get('Content-Security-Policy') ?? '') : undefined;
  } catch {
    return undefined;
  }
}

async function policy(): Promise<Finding> {
  const isSent = await isPolicySent();
  let text = 'The server could not be asked whether it sends the header Content-Security-Policy';
  if (isSent) text = 'Sent by this server: the browser forbids page and workers every connection elsewhere';
  if (isSent === false)
    text =
      'Not sent by this server as the header Content-Security-Policy, so the browser does not hold the workers to it';
  return { name: 'Security policy', state: isSent ? 'yes' : 'weak', text };
}

let webGl2: boolean | undefined;

function hasWebGl2(): boolean {
  webGl2 ??= document.createElement('canvas').getContext('webgl2') !== null;
  return webGl2;
}

export interface Advice {
  readonly browser: string;
  readonly steps: readonly string[];
}

/** How to get WebGPU in each browser; the one in use first. */
export function advice(agent: string): Advice[] {
  const linux = /Linux/.test(agent) && !/Android/.test(agent);
  const chrome: Advice = {
    browser: 'Chrome, Edge',
    steps: [
      'Version 113 or newer on Windows, macOS and ChromeOS, 121 on Android: nothing to switch on.',
      'Settings → System: “Use graphics acceleration when available” must be on.',
      ...(linux ? ['On Linux: open chrome://flags, enable “Unsafe WebGPU Support” and “Vulkan”, restart.'] : []),
      'chrome://gpu says under “WebGPU” what the browser thinks of this GPU.',
    ],
  };
  const firefox: Advice = {
    browser: 'Firefox',
    steps: [
      'Version 141 or newer on Windows, 145 on macOS with Apple silicon: nothing to switch on.',
      'Elsewhere: open about:config, set dom.webgpu.enabled to true, restart.',
    ],
  };
  const safari: Advice = {
    browser: 'Safari',
    steps: ['Version 26 or newer: nothing to switch on.', 'Before: Settings → Feature Flags → WebGPU.'],
  };
  const mine = /Firefox\//.test(agent) ? firefox : /Chrom(e|ium)\//.test(agent) ? chrome : safari;
  return [mine, ...[chrome, firefox, safari].filter((each) => each !== mine)];
}
