// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// value is what a field is compared with: the numbers lo to hi, or a text.
type value struct {
	lo, hi uint64
	text   string
}

// test is a field with an operator and values.
type test struct {
	field  *Field
	header string // lower case
	op     operator
	values []value
	re     *regexp.Regexp
}

// value reads a value of the field.
func (f *Field) value(t token) (value, error) {
	switch f.kind {
	case text:
		return value{text: t.text}, nil
	case code, name, level:
		for _, n := range f.names {
			if strings.EqualFold(n.name, t.text) {
				return value{lo: n.n, hi: n.n}, nil
			}
		}
		if f.kind == code {
			return codeValue(t)
		}
	}
	n, err := f.number(t.text)
	if err != nil {
		return value{}, fail(t.at, "%s", f.expected(t))
	}
	return value{lo: n, hi: n}, nil
}

func codeValue(t token) (value, error) {
	if t.text == "" {
		return value{}, fail(t.at, "the code is empty")
	}
	return value{text: strings.ToLower(t.text)}, nil
}

// number reads a number as the field has them.
func (f *Field) number(s string) (n uint64, err error) {
	switch f.kind {
	case size:
		n, err = parseSize(s)
	case duration:
		n, err = parseTime(s)
	case name, level:
		if f.id == fieldDir || f.id == fieldRole || f.id == fieldTrust || f.id == fieldKind {
			return 0, strconv.ErrSyntax
		}
		n, err = strconv.ParseUint(s, 0, 64)
	default:
		if f.id == fieldConn {
			s = strings.TrimPrefix(s, "c")
		}
		n, err = strconv.ParseUint(s, 10, 64)
	}
	if err == nil && (n > f.max || f.id == fieldFlag && n == 0) {
		err = strconv.ErrRange
	}
	return n, err
}

// expected says what a value that cannot be read should have been.
func (f *Field) expected(t token) string {
	s := t.name() + " is no " + f.Name + ": "
	switch f.id {
	case fieldStream, fieldStatus:
		s += "a number from 0 to " + strconv.FormatUint(f.max, 10)
		if c := t.text; f.id == fieldStatus && len(c) == 3 && c[0] >= '1' && c[0] <= '5' && strings.EqualFold(c[1:], "xx") {
			s += "; status in (" + c[:1] + "00.." + c[:1] + "99) for all of them"
		}
		return s
	case fieldConn:
		return s + "a connection is written as c3"
	case fieldPID:
		return s + "a process id is a number"
	case fieldLength:
		return s + "a number of octets, or as 16KiB, up to " + strconv.FormatUint(f.max, 10)
	case fieldTime:
		return s + "seconds from the start, or as 18ms, 1.5s, 2m"
	case fieldFlag:
		return s + strings.Join(f.Values(), ", ") + ", or bits from 0x1 to 0xff"
	case fieldDir, fieldRole, fieldTrust, fieldKind:
		return s + strings.Join(f.Values(), ", ")
	}
	return s + "a name such as " + f.names[0].name + " or " + f.names[1].name + ", or a number up to " + strconv.FormatUint(f.max, 10)
}

func parseSize(s string) (uint64, error) {
	number, unit := strings.TrimSuffix(s, "B"), uint64(1)
	if n, ok := strings.CutSuffix(number, "Ki"); ok {
		number, unit = n, 1<<10
	} else if n, ok := strings.CutSuffix(number, "Mi"); ok {
		number, unit = n, 1<<20
	}
	n, err := strconv.ParseUint(number, 0, 32)
	return n * unit, err
}

func parseTime(s string) (uint64, error) {
	if d, err := time.ParseDuration(s); err == nil {
		if d < 0 {
			return 0, strconv.ErrRange
		}
		return uint64(d), nil
	}
	// Seconds: read as a duration, so that no digit is lost.
	if strings.ContainsAny(s, "eExXpPiInN_+-") {
		return 0, strconv.ErrSyntax
	}
	d, err := time.ParseDuration(s + "s")
	return uint64(d), err
}

// append writes the test as it is read.
func (t *test) append(b []byte, _ int) []byte {
	b = append(b, t.field.Name...)
	if t.field.id == fieldHeader {
		b = append(b, '[')
		b = append(b, quote(t.header)...)
		b = append(b, ']')
	}
	switch t.op {
	case opHas:
		return b
	case opContains, opMatches:
		b = append(b, ' ')
		b = append(b, operatorNames[t.op]...)
		b = append(b, ' ')
		return append(b, quote(t.values[0].text)...)
	case opIn:
		b = append(b, " in ("...)
		for i, v := range t.values {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(b, t.field.print(v, v.lo)...)
			if v.lo != v.hi {
				b = append(b, ".."...)
				b = append(b, t.field.print(v, v.hi)...)
			}
		}
		return append(b, ')')
	}
	b = append(b, ' ')
	b = append(b, operatorNames[t.op]...)
	b = append(b, ' ')
	return append(b, t.field.print(t.values[0], t.values[0].lo)...)
}

// print writes one end of a value.
func (f *Field) print(v value, n uint64) string {
	switch {
	case f.kind == text || f.kind == code && v.text != "":
		return word(v.text)
	case f.kind == duration:
		return time.Duration(n).String()
	case f.id == fieldConn:
		return "c" + strconv.FormatUint(n, 10)
	}
	for _, known := range f.names {
		if known.n == n {
			return known.name
		}
	}
	if f.id == fieldFlag {
		return "0x" + strconv.FormatUint(n, 16)
	}
	return strconv.FormatUint(n, 10)
}
