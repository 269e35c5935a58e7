// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"regexp"
	"strings"
)

// operator is what a test does with a field.
type operator uint8

const (
	opHas operator = iota // the field alone
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opContains
	opMatches
	opIn
)

var operatorNames = [...]string{opHas: "", opEqual: "==", opNotEqual: "!=", opLess: "<", opLessEqual: "<=",
	opGreater: ">", opGreaterEqual: ">=", opContains: "contains", opMatches: "matches", opIn: "in"}

func (o operator) ordered() bool { return o >= opLess && o <= opGreaterEqual }

// allows tells whether an operator makes sense with values of a kind.
func (k valueKind) allows(o operator) bool {
	switch k {
	case text:
		return !o.ordered()
	case name:
		return !o.ordered() && o != opContains && o != opMatches
	case code:
		return o != opMatches
	}
	return o != opContains && o != opMatches
}

// parser reads tokens, of which the last is tokenEnd.
type parser struct {
	tokens []token
	at     int
	wants  wants // what the end came in place of
}

// wants is what may stand at a place.
type wants struct {
	what  expectation
	field *Field
	op    operator
}

type expectation uint8

const (
	wantMore     expectation = iota // && or ||, or ) where one is open
	wantTest                        // a field or a stream id
	wantOperator                    // or more
	wantValue
	wantHeader  // the name of a header field in brackets
	wantName    // the same behind [
	wantBracket // ]
	wantList    // (
	wantComma   // or )
)

// note notes, where the end is reached, what was wanted there.
func (p *parser) note(what expectation, t *test) {
	if p.peek().kind != tokenEnd {
		return
	}
	p.wants = wants{what: what}
	if t != nil {
		p.wants.field, p.wants.op = t.field, t.op
	}
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// accept passes over an operator, or a word that stands for it.
func (p *parser) accept(op, words string) bool {
	t := p.peek()
	if t.is(op) || words != "" && t.kind == tokenWord && strings.EqualFold(t.text, words) {
		p.at++
		return true
	}
	return false
}

func (p *parser) or() (node, error) {
	var list []node
	for {
		n, err := p.and()
		if err != nil {
			return nil, err
		}
		if inner, ok := n.(*or); ok {
			list = append(list, inner.list...)
		} else {
			list = append(list, n)
		}
		if !p.accept("||", "or") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return &or{list}, nil
}

func (p *parser) and() (node, error) {
	var list []node
	for {
		n, err := p.unary()
		if err != nil {
			return nil, err
		}
		if inner, ok := n.(*and); ok {
			list = append(list, inner.list...)
		} else {
			list = append(list, n)
		}
		if !p.accept("&&", "and") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return &and{list}, nil
}

// What is within each other is as deep as MaxText lets it be.
func (p *parser) unary() (node, error) {
	switch {
	case p.accept("!", "not"):
		n, err := p.unary()
		if err != nil {
			return nil, err
		}
		return &not{n}, nil
	case p.accept("(", ""):
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		if c := p.peek(); !p.accept(")", "") {
			return nil, fail(c.at, "a ) is missing before %s", c.name())
		}
		return n, nil
	}
	return p.test()
}

func (p *parser) test() (node, error) {
	p.note(wantTest, nil)
	t := p.next()
	switch {
	case t.kind == tokenEnd:
		return nil, fail(t.at, "a test is missing: a stream id, or a field with an operator and a value")
	case t.kind != tokenWord:
		return nil, fail(t.at, "%s cannot begin a test: a field or a stream id is needed", t.name())
	case t.text[0] >= '0' && t.text[0] <= '9':
		stream := fieldNamed("stream")
		v, err := stream.value(t)
		if err != nil {
			return nil, err
		}
		return &test{field: stream, op: opEqual, values: []value{v}}, nil
	}
	f := fieldNamed(t.text)
	if f == nil {
		hint := ""
		if s := suggest(t.text, p.peek()); s != "" {
			hint = ": " + s + "?"
		}
		return nil, fail(t.at, "there is no field %s%s", t.text, hint)
	}
	out := &test{field: f}
	if f.id == fieldHeader {
		header, err := p.header(out)
		if err != nil {
			return nil, err
		}
		out.header = header
	}
	return out, p.compare(out)
}

// header reads the name in brackets.
func (p *parser) header(out *test) (string, error) {
	p.note(wantHeader, out)
	if t := p.peek(); !p.accept("[", "") {
		return "", fail(t.at, `the name of the header field is missing: header["user-agent"]`)
	}
	p.note(wantName, out)
	n := p.next()
	if n.kind != tokenString && n.kind != tokenWord || n.text == "" {
		return "", fail(n.at, `the name of the header field is missing: header["user-agent"]`)
	}
	p.note(wantBracket, out)
	if t := p.peek(); !p.accept("]", "") {
		return "", fail(t.at, "a ] is missing before %s", t.name())
	}
	return strings.ToLower(n.text), nil
}

// compare reads the operator and the values, if there are any.
func (p *parser) compare(out *test) error {
	p.note(wantOperator, out)
	t := p.peek()
	switch {
	case t.is("="):
		out.op = opEqual
	case t.kind == tokenOp:
		for o := opEqual; o <= opGreaterEqual; o++ {
			if t.text == operatorNames[o] {
				out.op = o
			}
		}
	case t.kind == tokenWord:
		for o := opContains; o <= opIn; o++ {
			if strings.EqualFold(t.text, operatorNames[o]) {
				out.op = o
			}
		}
		if out.op == opHas && !strings.EqualFold(t.text, "and") && !strings.EqualFold(t.text, "or") {
			return fail(t.at, "an operator is needed before %s: %s", t.text, operatorList(out.field.kind))
		}
	case t.kind == tokenString:
		return fail(t.at, "an operator is needed before %s: %s", t.name(), operatorList(out.field.kind))
	}
	if out.op == opHas {
		return nil
	}
	if !out.field.kind.allows(out.op) {
		return fail(t.at, "%s cannot be used with %s: it takes %s", operatorNames[out.op], out.field.Name, operatorList(out.field.kind))
	}
	p.at++
	if out.op == opIn {
		return p.list(out)
	}
	p.note(wantValue, out)
	v := p.next()
	return p.takeValue(out, v)
}

func operatorList(k valueKind) string {
	var out []string
	for o := opEqual; o <= opIn; o++ {
		if k.allows(o) {
			out = append(out, operatorNames[o])
		}
	}
	return strings.Join(out, " ")
}

func (p *parser) takeValue(out *test, t token) error {
	if t.kind != tokenWord && t.kind != tokenString {
		return fail(t.at, "a value is missing before %s", t.name())
	}
	if out.op == opContains || out.op == opMatches {
		if t.text == "" {
			return fail(t.at, "the text to look for is empty")
		}
		out.values = append(out.values, value{text: t.text})
		if out.op == opMatches {
			return out.pattern(t)
		}
		return nil
	}
	v, err := out.field.value(t)
	if err != nil {
		return err
	}
	if out.op.ordered() && out.field.id == fieldDiag && v.text != "" {
		return fail(t.at, "only severities can be compared so: note, warning, error")
	}
	out.values = append(out.values, v)
	return nil
}

func (t *test) pattern(v token) error {
	if len(v.text) > maxPattern {
		return fail(v.at, "a pattern has at most %d octets", maxPattern)
	}
	re, err := regexp.Compile(v.text)
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		return fail(v.at, "not a regular expression: %s", reason)
	}
	t.re = re
	return nil
}

// list reads the values of in.
func (p *parser) list(out *test) error {
	p.note(wantList, out)
	if t := p.peek(); !p.accept("(", "") {
		return fail(t.at, "a list in parentheses is needed: %s in (…, …)", out.field.Name)
	}
	for {
		p.note(wantValue, out)
		t := p.next()
		if err := p.takeValue(out, t); err != nil {
			return err
		}
		if d := p.peek(); p.accept("..", "") {
			if err := p.upTo(out, d); err != nil {
				return err
			}
		}
		p.note(wantComma, out)
		switch c := p.peek(); {
		case p.accept(")", ""):
			return nil
		case !p.accept(",", ""):
			return fail(c.at, "a , or a ) is missing before %s", c.name())
		}
	}
}

// upTo reads the second half of a range.
func (p *parser) upTo(out *test, dots token) error {
	switch out.field.kind {
	case number, size, duration, level:
	default:
		return fail(dots.at, "%s has no order: list the values one by one", out.field.Name)
	}
	p.note(wantValue, out)
	t := p.next()
	if t.kind != tokenWord && t.kind != tokenString {
		return fail(t.at, "a value is missing before %s", t.name())
	}
	v, err := out.field.value(t)
	if err != nil {
		return err
	}
	first := &out.values[len(out.values)-1]
	if v.hi < first.lo {
		return fail(t.at, "the range ends before it begins")
	}
	first.hi = v.hi
	return nil
}
