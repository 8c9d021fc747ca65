// `AbortSignal.timeout` for Safari 15 and Chrome 85.
export function abortAfter(ms) {
  const control = new AbortController();
  setTimeout(() => control.abort(), ms);
  return control.signal;
}
