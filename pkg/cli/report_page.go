package cli

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// reportPage is a page of charts and tables that needs nothing but itself.
type reportPage struct {
	Title, Intro string
	Charts       []chart
	Tables       []reportTable
}

// reportTable is a table with its heading in the first row.
type reportTable struct {
	Title string
	Rows  [][]string
}

// chart is lines over a common axis or, with categories, bars side by side.
type chart struct {
	Title, X, Y string
	Series      []series
	// Categories name groups of bars: a series has a point for each, with its place as X.
	Categories []string
}

type series struct {
	Name   string
	Points []point
}

type point struct{ X, Y float64 }

//go:embed report_page.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"draw": draw}).Parse(reportHTML))

// writeReport writes a page to a file.
func writeReport(name string, page reportPage) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := renderReport(file, page); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return file.Close()
}

func renderReport(out io.Writer, page reportPage) error { return reportTemplate.Execute(out, page) }

// The drawing area of a chart, in SVG units.
const (
	chartWidth  = 640
	chartHeight = 280
	chartLeft   = 48
	chartBottom = 36
	chartTop    = 12
	chartRight  = 12
)

// colours is the number of colours that the page has.
const colours = 8

// drawing is a chart laid out.
type drawing struct {
	chart
	Width, Height           int
	Left, Right, Top, Floor float64
	XTicks, YTicks          []tick
	Lines                   []line // what the legend names
	Bars                    []bar
}

type tick struct {
	At    float64
	Label string
}

type line struct {
	Name   string
	Colour int // number of a colour of the page
	Points string
}

// draw lays a chart out. Both axes begin at 0, unless x begins far from it.
func draw(c chart) drawing {
	d := drawing{
		chart: c, Width: chartWidth, Height: chartHeight,
		Left: chartLeft, Right: chartWidth - chartRight, Top: chartTop, Floor: chartHeight - chartBottom,
	}
	if len(c.Categories) > 0 {
		d.bars()
	} else {
		d.lines()
	}
	return d
}

// vertical lays the vertical axis out and returns where on it an amount is.
func (d *drawing) vertical() func(amount float64) float64 {
	most := 0.0
	for _, s := range d.Series {
		for _, p := range s.Points {
			most = max(most, p.Y)
		}
	}
	step := roundStep(most / 5)
	most = step * math.Ceil(most/step)
	y := func(v float64) float64 { return d.Floor - v/max(most, 1e-9)*(d.Floor-d.Top) }
	for v := 0.0; v <= most+step/1e6; v += step {
		d.YTicks = append(d.YTicks, tick{y(v), strconv.FormatFloat(v, 'g', 6, 64)})
	}
	return y
}

func (d *drawing) lines() {
	xMin, xMax := math.Inf(1), math.Inf(-1)
	for _, s := range d.Series {
		for _, p := range s.Points {
			xMin, xMax = min(xMin, p.X), max(xMax, p.X)
		}
	}
	if xMin > xMax { // nothing to draw
		xMin, xMax = 0, 1
	}
	if xMin < xMax/2 {
		xMin = 0
	}
	step := roundStep((xMax - xMin) / 8)
	x := func(v float64) float64 { return d.Left + (v-xMin)/max(xMax-xMin, 1e-9)*(d.Right-d.Left) }
	for v := step * math.Ceil(xMin/step); v <= xMax+step/1e6; v += step {
		d.XTicks = append(d.XTicks, tick{x(v), strconv.FormatFloat(v, 'g', 6, 64)})
	}
	y := d.vertical()
	for i, s := range d.Series {
		var points strings.Builder
		for _, p := range s.Points {
			fmt.Fprintf(&points, "%.1f,%.1f ", x(p.X), y(p.Y))
		}
		d.Lines = append(d.Lines, line{s.Name, i % colours, points.String()})
	}
}

// roundStep is the next of 1, 2, 5, 10, 20, … times a power of ten.
func roundStep(least float64) float64 {
	if least <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, n := range []float64{1, 2, 5} {
		if n*power >= least {
			return n * power
		}
	}
	return 10 * power
}
