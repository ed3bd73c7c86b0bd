/**
 * Firefox tells of finished work ten times a second, and whenever something is submitted (Mozilla's bug 1870699). Without help each reading of
 * a buffer takes a tenth of a second there, and a checkpoint reads hundreds.
 */

/** What timers of nested calls are held to anyway. */
const MILLISECONDS = 4;

/** In a page or a worker. */
export function isFirefox(): boolean {
  return / Firefox\//.test(navigator.userAgent);
}

/** How to await work of a device in Firefox: nothing is submitted, again and again, while anybody waits. */
export function nudging({ queue }: GPUDevice): <T>(promise: Promise<T>) => Promise<T> {
  let waiting = 0;
  let timer: ReturnType<typeof setInterval>;
  return async (promise) => {
    if (waiting++ === 0) timer = setInterval(() => queue.submit([]), MILLISECONDS);
    try {
      return await promise;
    } finally {
      if (--waiting === 0) clearInterval(timer);
    }
  };
}
