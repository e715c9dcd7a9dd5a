// One player at a time; another player of the same clip goes on from the same moment.
document.addEventListener("play", (event) => {
  const now = event.target;
  document.querySelectorAll("audio").forEach((other) => {
    if (other === now || other.paused) return;
    other.pause();
    if (other.dataset.clip === now.dataset.clip && other.currentTime < now.duration) {
      now.currentTime = other.currentTime;
    }
  });
}, true);
