package sim

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Table is comma-separated values whose first line names the columns.
type Table struct {
	// Name is what an error begins with: the path of the table's file.
	Name string
	Text io.Reader
}

// Header is the names of the table's columns.
func (t Table) Header() ([]string, error) {
	_, header, err := t.open()
	return header, t.named(err)
}

// byteOrderMark is what spreadsheets put before a table.
const byteOrderMark = "\ufeff"

// open reads the first line, and gives the reader of the others.
func (t Table) open() (*csv.Reader, []string, error) {
	text := bufio.NewReader(t.Text)
	if start, _ := text.Peek(len(byteOrderMark)); string(start) == byteOrderMark {
		_, _ = text.Discard(len(byteOrderMark))
	}
	reader := csv.NewReader(text)
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("line 1: it is missing; it is to name the columns")
	}
	if err != nil {
		return nil, nil, tableFault(err)
	}
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	return reader, header, nil
}

// tableFault says what is no table, and in which line.
func tableFault(err error) error {
	if parse, is := errors.AsType[*csv.ParseError](err); is {
		return fmt.Errorf("line %d: %w", parse.Line, parse.Err)
	}
	return err
}

// read calls each for every line after the header. Errors name the table and the line.
func (t Table) read(each func(row) error) error { return t.named(t.readLines(each)) }

// named puts the table's name before what is wrong with it.
func (t Table) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", t.Name, err)
}

func (t Table) readLines(each func(row) error) error {
	reader, header, err := t.open()
	if err != nil {
		return err
	}
	reader.ReuseRecord = true
	column := map[string]int{}
	for i, name := range header {
		if _, twice := column[name]; twice && name != "" {
			return fmt.Errorf("line 1: column %q is there twice", name)
		}
		column[name] = i
	}
	for {
		values, err := reader.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, csv.ErrFieldCount):
			return fmt.Errorf("%w: %d, where the header has %d", tableFault(err), len(values), len(header))
		case err != nil:
			return tableFault(err)
		}
		if err := each(row{column, values, new(error)}); err != nil {
			line, _ := reader.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// row is one line of a table with named columns. It remembers the first error.
type row struct {
	column map[string]int
	values []string
	failed *error
}

func (r row) err() error { return *r.failed }

func (r row) text(column string) string {
	i, ok := r.column[column]
	if !ok {
		r.fail(fmt.Errorf("there is no column %q", column))
		return ""
	}
	return r.values[i]
}

// optional is the text of a column that need not be there.
func (r row) optional(column string) string {
	if _, ok := r.column[column]; !ok {
		return ""
	}
	return r.text(column)
}

// number is an amount, not negative; empty counts as 0.
func (r row) number(column string) int64 {
	text := r.text(column)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<40 {
		r.fail(fmt.Errorf("column %q: %q is not a whole number from 0 to 2^40", column, text))
		return 0
	}
	return n
}

// whole is an amount that need not be there.
func (r row) whole(column string, otherwise int64) int64 {
	if r.optional(column) == "" {
		return otherwise
	}
	return r.number(column)
}

func (r row) fail(err error) {
	if *r.failed == nil {
		*r.failed = err
	}
}
