// Helpers for an interactive page.

/** A new element with properties. */
export function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A function that runs `work`, never twice at once; calls during a run lead to one more run after it. */
export function coalesce(work) {
  let running = null;
  let again = false;
  const loop = async () => {
    do {
      again = false;
      await work();
      await pause(0); // let the browser paint
    } while (again);
  };
  return () => {
    again = true;
    running ??= loop().finally(() => (running = null));
    return running;
  };
}
