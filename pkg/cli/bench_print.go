package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/bench"
)

// printReport prints a table per case: a row per metric, a column per scheduler.
// Where nothing is beside Lockstep, cases are rows and metrics are columns.
func printReport(s *screen, report *bench.Report) {
	heading := []string{report.Title}
	for _, name := range slices.Sorted(maps.Keys(report.Settings)) {
		heading = append(heading, fmt.Sprintf("%s %d", name, report.Settings[name]))
	}
	s.plain("\n" + s.bold(report.Scenario) + ": " + strings.Join(heading, ", "))
	cases, schedulers, cells := pivot(report.Summaries)
	if len(schedulers) == 1 {
		printCases(s, cases, cells)
	} else {
		for _, name := range cases {
			printCase(s, name, schedulers, report.Summaries, cells)
		}
		s.plain(s.quiet("median ± half the spread, (Lockstep's median over this one)"))
	}
	for _, note := range report.Notes {
		s.plain(s.wait("note: ") + note)
	}
}

// cell is a place in the tables.
type cell struct{ name, metric, scheduler string }

// pivot lists cases and schedulers in the order of their first appearance.
func pivot(summaries []bench.Summary) (cases, schedulers []string, cells map[cell]bench.Summary) {
	cells = map[cell]bench.Summary{}
	for _, m := range summaries {
		cells[cell{m.Case, m.Metric, m.Scheduler}] = m
		if !slices.Contains(cases, m.Case) {
			cases = append(cases, m.Case)
		}
		if !slices.Contains(schedulers, m.Scheduler) {
			schedulers = append(schedulers, m.Scheduler)
		}
	}
	return cases, schedulers, cells
}

func metricsOf(name string, summaries []bench.Summary) []string {
	var metrics []string
	for _, m := range summaries {
		if m.Case == name && !slices.Contains(metrics, m.Metric) {
			metrics = append(metrics, m.Metric)
		}
	}
	return metrics
}

func printCase(s *screen, name string, schedulers []string, summaries []bench.Summary, cells map[cell]bench.Summary) {
	rows := [][]string{append([]string{name}, schedulers...)}
	for _, metric := range metricsOf(name, summaries) {
		row := []string{strings.ReplaceAll(metric, "_", " ")}
		for _, scheduler := range schedulers {
			m, measured := cells[cell{name, metric, scheduler}]
			text := "-"
			if measured {
				text = amount(m)
			}
			if measured && scheduler != bench.Lockstep && m.LockstepOver > 0 {
				text += fmt.Sprintf(" (%.2f)", m.LockstepOver)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	s.table(rows)
}

func printCases(s *screen, cases []string, cells map[cell]bench.Summary) {
	var metrics []string
	for c := range cells {
		metrics = append(metrics, c.metric)
	}
	slices.Sort(metrics)
	metrics = slices.Compact(metrics)
	heading := []string{""}
	for _, metric := range metrics {
		heading = append(heading, strings.ReplaceAll(metric, "_", " "))
	}
	rows := [][]string{heading}
	for _, name := range cases {
		row := []string{name}
		for _, metric := range metrics {
			text := ""
			for c, m := range cells {
				if c.name == name && c.metric == metric {
					text = amount(m)
				}
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	s.table(rows)
}

func amount(m bench.Summary) string {
	text := fmt.Sprintf("%.3g", m.Median)
	if m.Median >= 100 {
		text = fmt.Sprintf("%.0f", m.Median)
	}
	if half := (m.High - m.Low) / 2; half > 0 && m.Median > 0 {
		text += fmt.Sprintf(" ±%.0f%%", 100*half/m.Median)
	}
	return text
}
