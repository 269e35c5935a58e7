// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"h2sniff/decode"
	"h2sniff/decode/filter"
	"h2sniff/decode/store"
)

// filterFlag is an expression of the filter language.
type filterFlag struct{ expr *filter.Expr }

func (v *filterFlag) Type() string { return "EXPR" }
func (v *filterFlag) String() string {
	if v.expr == nil {
		return ""
	}
	return v.expr.String()
}

func (v *filterFlag) Set(text string) error {
	expr, err := filter.Parse(text)
	if err != nil {
		return &filterError{text, err}
	}
	v.expr = expr
	return nil
}

// hint says why the expression can hardly match, if that is so.
func (v *filterFlag) hint(w io.Writer) {
	if v.expr == nil {
		return
	}
	if hint := v.expr.Hint(); hint != "" {
		say(w, "--filter: %s", hint)
	}
}

// filterError is a mistake in an expression.
type filterError struct {
	text string
	err  error
}

func (e *filterError) Error() string { return "--filter: " + e.err.Error() }
func (e *filterError) Unwrap() error { return e.err }

// place shows where the mistake is, in two lines; "" where that would not be
// true to the text.
func (e *filterError) place() string {
	var fault *filter.Error
	if !errors.As(e.err, &fault) || e.text == "" || fault.At > len(e.text) {
		return ""
	}
	const room = 70
	text, at := e.text, fault.At
	if strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		return "" // a column of it is not an octet of it
	}
	if from := at - room/2; from > 0 && len(text) > room {
		text, at = text[from:], at-from
	}
	return fmt.Sprintf("  %s\n  %s^\n", text[:min(len(text), room)], strings.Repeat(" ", at))
}

// rowFilter tells which rows of a store are shown, a nil one that all are.
type rowFilter struct {
	selection *store.Selection
	findings  bool
}

func newRowFilter(st *store.Store, expr *filter.Expr, start int64) *rowFilter {
	if expr == nil {
		return nil
	}
	p := expr.Compile(start)
	p.Once = true // a line that is out cannot be taken back
	return &rowFilter{selection: st.Select(store.View{}, p), findings: p.Findings}
}

// asksFindings tells whether rows have to be diagnosed for it.
func (f *rowFilter) asksFindings() bool { return f != nil && f.findings }

// examine examines all rows that are there and returns the ordinal behind the
// last one.
func (f *rowFilter) examine(end uint64) uint64 {
	if f == nil {
		return end
	}
	f.selection.Advance(context.Background(), time.Hour)
	return f.selection.Progress().End - 1
}

// shows tells whether an examined row is shown: those that match, and where
// octets are missing, because what is missing may have matched.
func (f *rowFilter) shows(e *store.Entry) bool {
	return f == nil || e.Kind == decode.RowGap || f.selection.Has(e.Seq)
}
