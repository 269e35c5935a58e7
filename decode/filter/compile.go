// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"slices"

	"h2sniff/capture"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// match tells whether a record is accepted.
type match func(*store.Record) bool

// compiled is a match and about what it costs, for the order in which they are
// asked.
type compiled struct {
	match match
	cost  int
}

const (
	costRecord  = iota // a load from the fixed record
	costProcess        // a look at the connection
	costField          // a memo for each field of the row
	costPayload        // a walk through the variable part
)

// compiler numbers the memos that a predicate uses.
type compiler struct {
	start    int64
	memos    int
	findings bool
}

func (n *not) compile(c *compiler) compiled {
	m := n.inner.compile(c)
	inner := m.match
	return compiled{func(r *store.Record) bool { return !inner(r) }, m.cost}
}

// compileList orders the parts by cost. They depend on nothing but the record,
// so that the order does not change the outcome.
func compileList(c *compiler, list []node) []compiled {
	out := make([]compiled, len(list))
	for i, n := range list {
		out[i] = n.compile(c)
	}
	slices.SortStableFunc(out, func(a, b compiled) int { return a.cost - b.cost })
	return out
}

func (n *and) compile(c *compiler) compiled {
	list := compileList(c, n.list)
	out := list[0]
	for _, m := range list[1:] {
		first, second := out.match, m.match
		out = compiled{func(r *store.Record) bool { return first(r) && second(r) }, m.cost}
	}
	return out
}

func (n *or) compile(c *compiler) compiled {
	list := compileList(c, n.list)
	out := list[0]
	for _, m := range list[1:] {
		first, second := out.match, m.match
		out = compiled{func(r *store.Record) bool { return first(r) || second(r) }, m.cost}
	}
	return out
}

// compile makes the match of a test. Of a != b it makes that of a == b and
// turns it round (see the language).
func (t *test) compile(c *compiler) compiled {
	m := t.positive(c)
	if t.op == opNotEqual {
		inner := m.match
		m.match = func(r *store.Record) bool { return !inner(r) }
	}
	return m
}

func (t *test) positive(c *compiler) compiled {
	switch t.field.id {
	case fieldStream:
		if lo, width, ok := t.span(); ok {
			return compiled{func(r *store.Record) bool { return uint64(r.StreamID())-lo <= width && r.IsFrame() }, costRecord}
		}
		in := t.numbers()
		return compiled{func(r *store.Record) bool { return r.IsFrame() && in(uint64(r.StreamID())) }, costRecord}
	case fieldConn:
		in := t.numbers()
		return compiled{func(r *store.Record) bool { return in(uint64(r.Conn())) }, costRecord}
	case fieldLength:
		if lo, width, ok := t.span(); ok {
			return compiled{func(r *store.Record) bool { return uint64(r.Length())-lo <= width && r.IsFrame() }, costRecord}
		}
		in := t.numbers()
		return compiled{func(r *store.Record) bool { return r.IsFrame() && in(uint64(r.Length())) }, costRecord}
	case fieldTime:
		return t.time(c)
	case fieldKind:
		in := t.table()
		return compiled{func(r *store.Record) bool { return in[r.Kind()] }, costRecord}
	case fieldDir:
		in := t.table()
		return compiled{func(r *store.Record) bool { return r.HasDirection() && in[r.Direction()] }, costRecord}
	case fieldRole:
		in := t.table()
		return compiled{func(r *store.Record) bool { role := r.Role(); return role != capture.RoleUnknown && in[role] }, costRecord}
	case fieldType:
		in := t.table()
		return compiled{func(r *store.Record) bool { return r.IsFrame() && in[r.Type()] }, costRecord}
	case fieldFlag:
		return t.flag()
	case fieldPID:
		in := t.numbers()
		return compiled{func(r *store.Record) bool { pid := r.Info().PID; return pid != 0 && in(uint64(pid)) }, costProcess}
	case fieldComm:
		in := t.texts()
		return compiled{func(r *store.Record) bool { comm := r.Info().Comm; return comm != "" && in([]byte(comm)) }, costProcess}
	case fieldError:
		return t.errorCode()
	case fieldDiag:
		return t.diagnosis(c)
	case fieldTrust:
		return t.trust(c)
	}
	return t.headerField(c)
}

// time compares times from the start. Rows can be from before it.
func (t *test) time(c *compiler) compiled {
	in, start := t.numbers(), c.start
	if lo, width, ok := t.span(); ok && start != 0 {
		return compiled{func(r *store.Record) bool { return uint64(max(r.Time()-start, 0))-lo <= width }, costRecord}
	}
	return compiled{func(r *store.Record) bool {
		from := start
		if from == 0 {
			from = r.Start()
		}
		return in(uint64(max(r.Time()-from, 0)))
	}, costRecord}
}

// span gives what the test asks for where that is one run of numbers, lo to
// lo+width: nearly always.
func (t *test) span() (lo, width uint64, ok bool) {
	const most = 1<<64 - 1
	if t.op == opHas {
		return 0, most, true
	}
	v := t.values[0]
	switch {
	case t.op == opLess && v.lo > 0:
		return 0, v.lo - 1, true
	case t.op == opLessEqual:
		return 0, v.lo, true
	case t.op == opGreater && v.lo < most:
		return v.lo + 1, most - v.lo - 1, true
	case t.op == opGreaterEqual:
		return v.lo, most - v.lo, true
	case t.op.ordered() || len(t.values) > 1:
		return 0, 0, false
	}
	return v.lo, v.hi - v.lo, true
}

// numbers tells whether a number is what the test asks for.
func (t *test) numbers() func(uint64) bool {
	if t.op == opHas {
		return func(uint64) bool { return true }
	}
	first := t.values[0]
	switch t.op {
	case opLess:
		return func(n uint64) bool { return n < first.lo }
	case opLessEqual:
		return func(n uint64) bool { return n <= first.lo }
	case opGreater:
		return func(n uint64) bool { return n > first.lo }
	case opGreaterEqual:
		return func(n uint64) bool { return n >= first.lo }
	}
	if len(t.values) == 1 {
		return func(n uint64) bool { return n >= first.lo && n <= first.hi }
	}
	values := t.values
	return func(n uint64) bool {
		for i := range values {
			if n >= values[i].lo && n <= values[i].hi {
				return true
			}
		}
		return false
	}
}

// table is numbers for all that fits an octet.
func (t *test) table() *[256]bool {
	in, out := t.numbers(), new([256]bool)
	for n := range out {
		out[n] = in(uint64(n))
	}
	return out
}

// flag asks for all bits of a value, which may be set beside others: a name stands
// for one.
func (t *test) flag() compiled {
	if t.op == opHas {
		return compiled{func(r *store.Record) bool { return r.IsFrame() && r.Flags() != 0 }, costRecord}
	}
	masks := make([][256]http2.Flags, len(t.values))
	for i, v := range t.values {
		masks[i] = flagMasks(v.lo)
	}
	return compiled{func(r *store.Record) bool {
		if !r.IsFrame() {
			return false
		}
		kind, flags := r.Type(), r.Flags()
		for i := range masks {
			if mask := masks[i][kind]; mask != 0 && flags&mask == mask {
				return true
			}
		}
		return false
	}, costRecord}
}
