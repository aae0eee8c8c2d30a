// A plot of numbers over time in the page's colours, as wide as its place.
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT = 180;
const LONGEST = 600; // seconds that are shown, and at first
const SHORTEST = 60;
const dark = matchMedia("(prefers-color-scheme: dark)");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const precise = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Steps between marks of an axis: 1, 2, 5 by powers of ten, or powers of two. */
function marks(base) {
  if (base === 2) return Array.from({ length: 50 }, (_, power) => 2 ** power);
  return Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** (power - 3))).flat();
}

export class Plot {
  /**
   * @param {HTMLElement} figure whose `role=img` is the place
   * @param {function(number): string} write a number with its unit
   * @param {number} base 2 for bytes, else 10: of what the marks of the axis are multiples
   * @param {Array<[string, string, string, boolean?]>} series name, label, colour's custom property, filled
   */
  constructor(figure, write, base, series) {
    this.place = figure.querySelector("[role=img]");
    [this.write, this.marks, this.series] = [write, marks(base), series];
    this.data = [[], ...series.map(() => [])];
    this.make();
    dark.addEventListener("change", () => this.make());
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(this.place);
  }

  /** @param {Object<string, Array<number|null>>} points by name, `at` among them */
  show(points) {
    this.data = [points.at, ...this.series.map(([name]) => points[name])];
    this.plot.setData(this.data);
    this.tell();
  }

  /** The newest numbers, while nobody points at older ones. */
  tell() {
    if (this.plot.cursor.idx === null || this.plot.cursor.idx === undefined) {
      this.plot.setLegend({ idx: this.data[0].length - 1 });
    }
  }

  size() {
    return { width: Math.max(this.place.clientWidth, 200), height: HEIGHT };
  }

  make() {
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--soft"), font: "12px system-ui, sans-serif",
      grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
    };
    const times = (_plot, all, _axis, _space, step) => all.map((time) => (step < 60 ? precise : clock).format(time * 1000));
    const numbers = (_, values) => values.map((value) => (value === null ? "" : this.write(value)));
    this.plot = new uPlot({
      ...this.size(),
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: "performance" } },
      legend: { live: true },
      scales: {
        x: { range: (_, least, most) => (most ? [Math.max(Math.min(least, most - SHORTEST), most - LONGEST), most] : [0, 1]) },
        // From zero, and never so near that noise looks like something.
        y: { range: (_, least, most) => [Math.min(least ?? 0, 0), Math.max((most ?? 0) * 1.15, 1)] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 80, values: times },
        { ...axis, size: 72, space: 36, incrs: this.marks, values: numbers },
      ],
      series: [
        { value: (_, time) => (time ? precise.format(time * 1000) : "–"), label: "At" },
        ...this.series.map(([, label, name, filled]) => ({
          label, stroke: colour(name), width: 1.75, fill: filled ? `${colour(name)}22` : undefined, points: { show: false },
          value: (_, value) => (value === null || value === undefined ? "–" : this.write(value)),
        })),
      ],
      hooks: { setCursor: [(plot) => plot.cursor.idx === null && this.data[0].length && this.tell()] },
    }, this.data, this.place);
    if (this.data[0].length) this.tell();
  }
}
