// Helpers for an interactive page.

/** A new element with properties. */
export function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

/** Call `open` with each file that is chosen with an input, or dropped on `zone`, apart from a zone inside it. */
export function receiveFiles(input, zone, open) {
  const receive = (file) => (file ? open(file) : null);
  input.addEventListener("change", () => {
    receive(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    return receive(event.dataTransfer.files[0]);
  });
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
