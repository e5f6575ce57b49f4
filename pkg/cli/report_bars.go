package cli

import "fmt"

// bar is one of a chart.
type bar struct {
	Title      string
	Colour     int
	X, Y, W, H float64
}

// add adds a bar to the series of that name, which is the last one or a new one.
func (c *chart) add(name string, place int, category string, value float64) {
	if place == len(c.Categories) {
		c.Categories = append(c.Categories, category)
	}
	if n := len(c.Series); n == 0 || c.Series[n-1].Name != name {
		c.Series = append(c.Series, series{Name: name})
	}
	last := &c.Series[len(c.Series)-1]
	last.Points = append(last.Points, point{float64(place), value})
}

// bars lays out a group of bars for each category, one per series.
func (d *drawing) bars() {
	y := d.vertical()
	group := (d.Right - d.Left) / float64(len(d.Categories))
	width := 0.8 * group / float64(max(1, len(d.Series)))
	for i, name := range d.Categories {
		d.XTicks = append(d.XTicks, tick{d.Left + group*(float64(i)+0.5), name})
	}
	for i, s := range d.Series {
		d.Lines = append(d.Lines, line{Name: s.Name, Colour: i % colours})
		for _, p := range s.Points {
			top := y(p.Y)
			d.Bars = append(d.Bars, bar{
				Title: fmt.Sprintf("%s, %s: %s", s.Name, d.Categories[int(p.X)], fixed(p.Y)), Colour: i % colours,
				X: d.Left + group*(p.X+0.1) + width*float64(i), Y: top, W: width, H: d.Floor - top,
			})
		}
	}
}
