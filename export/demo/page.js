// Small helps for a page that reacts.

/** A new element with properties. */
export function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A function that does `work`, but never twice at once: of all calls while it runs, one more follows. */
export function latest(work) {
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
