// A point of the plane, hovered, tapped or focused, shows its model's pictures; without script the radio buttons do.
for (const point of document.querySelectorAll("[data-model]")) {
  for (const event of ["pointerenter", "click", "focus"]) {
    point.addEventListener(event, () => {
      const choice = document.getElementById("model-" + point.dataset.model);
      if (choice) choice.checked = true;
    });
  }
}
