// SPDX-License-Identifier: Apache-2.0

package filter

import "slices"

// Lacking names a field that rows match without having it, because of a !=: most
// rows have none of a header field. "" where there is none, or where the
// expression asks for the field beside it, as `status && status != 200` does.
func (e *Expr) Lacking() string { return lacking(e.root, nil) }

// fieldKey tells fields apart, and header fields by their names.
type fieldKey struct {
	id     fieldID
	header string
}

func (t *test) key() fieldKey { return fieldKey{t.field.id, t.header} }

// lacking looks below n; asked are the fields that rows must have for n to count.
func lacking(n node, asked []fieldKey) string {
	switch n := n.(type) {
	case *test:
		if n.op != opNotEqual || !n.field.sparse() || slices.Contains(asked, n.key()) {
			return ""
		}
		if n.field.id == fieldHeader {
			return `header["` + n.header + `"]`
		}
		return n.field.Name
	case *and:
		for _, n := range n.list {
			if t, ok := n.(*test); ok && t.op != opNotEqual {
				asked = append(asked[:len(asked):len(asked)], t.key())
			}
		}
		return lackingOf(n.list, asked)
	case *or:
		return lackingOf(n.list, asked)
	}
	return ""
}

func lackingOf(list []node, asked []fieldKey) string {
	for _, n := range list {
		if name := lacking(n, asked); name != "" {
			return name
		}
	}
	return ""
}

// sparse says that most rows do not have the field.
func (f *Field) sparse() bool {
	switch f.id {
	case fieldStatus, fieldMethod, fieldPath, fieldAuthority, fieldHeader, fieldGRPCStatus:
		return true
	}
	return false
}
