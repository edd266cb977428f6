// Says aloud, to those who listen to the page, what others see.

/** When there is a pause. */
export function say(text) {
  speak("polite", text);
}

/** At once. */
export function warn(text) {
  speak("urgent", text);
}

function speak(id, text) {
  const region = document.getElementById(id);
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}
