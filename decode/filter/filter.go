// SPDX-License-Identifier: Apache-2.0

// Package filter is the language in which rows are chosen:
//
//	stream==13 && type!=PING
//	status in (500..599) || error==REFUSED_STREAM
//	header["content-type"] contains grpc && time > 1.5s
//
// [Parse] reads an expression, [Expr.Compile] makes of it a condition that the
// store evaluates on its records as they lie there, [Complete] tells what may
// stand at a place of an unfinished one.
//
// # Language
//
// An expression is made of tests with && (and), || (or), ! (not) and
// parentheses. A test is a field, an operator and a value: == != < <= > >=,
// contains (a part of the text), matches (a regular expression, RE2), in with a
// list of values and ranges (1, 5..9). A bare number is a stream id. A field
// alone asks whether the row has it.
//
// A field is of the frame that carries it: status==200 is the HEADERS frame
// with that status. a != b is the same as !(a == b): it holds also for rows
// that lack the field, and of a field that is there several times it says that
// none is b.
//
// Fields lists the fields. Values that hold other characters than letters,
// digits and _ . - / : * % + @ ~ ? # $ ^ ; stand in double quotes, in which \"
// is a quote and \\ a backslash.
package filter

import (
	"fmt"

	"h2sniff/capture"
	"h2sniff/decode/store"
)

// Bounds on what is read.
const (
	// MaxText is the length of an expression, octets.
	MaxText    = 4096
	maxPattern = 1000 // octets of a regular expression
)

// Error tells what is wrong with an expression.
type Error struct {
	At   int    // octets from the beginning of the text
	Text string // one sentence without a full stop; holds parts of the text
}

func (e *Error) Error() string { return e.Text }

func fail(at int, format string, args ...any) error {
	return &Error{at, fmt.Sprintf(format, args...)}
}

// Expr is an expression. It does not change and may be used by several
// goroutines.
type Expr struct{ root node }

// Parse reads an expression. Its errors are of type *Error.
func Parse(text string) (*Expr, error) {
	if len(text) > MaxText {
		return nil, fail(MaxText, "an expression has at most %d octets", MaxText)
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := parser{tokens: tokens}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, fail(t.at, "%s cannot stand here: && or || is needed before it", t.name())
	}
	return &Expr{root}, nil
}

// String is the expression in its usual form, which Parse reads as the same.
func (e *Expr) String() string { return string(e.root.append(nil, 0)) }

// Compile makes a condition of the expression. Times count from start,
// nanoseconds since the Unix epoch, or where that is 0 from the first row that
// the store ever had. It may be called any number of times; each Predicate is
// for one Selection at a time.
func (e *Expr) Compile(start int64) store.Predicate {
	c := compiler{start: start}
	m := e.root.compile(&c)
	return store.Predicate{Match: m.match, Memos: c.memos, Stateless: true, Findings: c.findings, Within: within(e.root)}
}

// within is a view that holds all that n accepts.
func within(n node) (v store.View) {
	list := []node{n}
	if all, ok := n.(*and); ok {
		list = all.list
	}
	for _, n := range list {
		t, ok := n.(*test)
		if !ok || t.op != opEqual && t.op != opIn || len(t.values) != 1 || t.values[0].lo != t.values[0].hi {
			continue
		}
		switch id := t.values[0].lo; {
		case t.field.id == fieldStream:
			v.Stream, v.HasStream = uint32(id), true
		case t.field.id == fieldConn && id != 0: // no connection has id 0
			v.Conn = capture.ConnID(id)
		}
	}
	return v
}
