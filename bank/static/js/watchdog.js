// Says that bank.js did not start, and reloads a receipt that waits for the shop. A script of its
// own and in the oldest syntax, because it must run where bank.js cannot.
(function () {
  var note = document.getElementById("lost-script");
  var seconds = note.getAttribute("data-reload-seconds");

  function hasStarted() {
    return document.documentElement.hasAttribute("data-started");
  }

  function check() {
    if (hasStarted() || !note.hidden) return;
    note.hidden = false;
    if (seconds === null) return;
    setTimeout(function () {
      if (!hasStarted()) window.location.reload();
    }, seconds * 1000);
  }

  window.addEventListener("load", function () {
    setTimeout(check, 1000);
  });
  // A script whose connection hangs holds back the load event.
  setTimeout(check, 60000);
})();
