// SPDX-License-Identifier: Apache-2.0

package filter

// node is a part of an expression.
type node interface {
	// append writes it so that it can stand inside an expression that binds
	// as tightly as level says.
	append(b []byte, level int) []byte
	compile(*compiler) compiled
}

// Levels, from loose to tight.
const (
	levelOr = iota
	levelAnd
	levelNot
)

type or struct{ list []node }
type and struct{ list []node }
type not struct{ inner node }

func (n *or) append(b []byte, level int) []byte { return appendList(b, n.list, " || ", levelOr, level) }
func (n *and) append(b []byte, level int) []byte {
	return appendList(b, n.list, " && ", levelAnd, level)
}

func appendList(b []byte, list []node, between string, own, level int) []byte {
	if own < level {
		b = append(b, '(')
	}
	for i, n := range list {
		if i > 0 {
			b = append(b, between...)
		}
		b = n.append(b, own+1)
	}
	if own < level {
		b = append(b, ')')
	}
	return b
}

func (n *not) append(b []byte, _ int) []byte {
	b = append(b, '!')
	if t, ok := n.inner.(*test); ok && t.op != opHas {
		b = append(b, '(')
		b = t.append(b, 0)
		return append(b, ')')
	}
	return n.inner.append(b, levelNot)
}
