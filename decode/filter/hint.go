// SPDX-License-Identifier: Apache-2.0

package filter

import "fmt"

// Hint says why an expression, or a part of it, can hardly match: it asks one
// frame for a field of requests and for one of responses. Only a malformed
// frame has both (RFC 9113, section 8.3). "" where there is nothing to say.
func (e *Expr) Hint() string {
	if s, ok := mixed(e.root); ok {
		return fmt.Sprintf("no valid frame has both %s and %s: %[1]s is of requests, %[2]s of responses", s.request, s.response)
	}
	return ""
}

// sides are the names of a field of requests and of one of responses that all
// rows which a node accepts have; "" where that is none.
type sides struct{ request, response string }

// mixed finds a node that needs a field of each side.
func mixed(n node) (sides, bool) {
	if s := needs(n); s.request != "" && s.response != "" {
		return s, true
	}
	var list []node
	switch n := n.(type) {
	case *and:
		list = n.list
	case *or:
		list = n.list
	case *not:
		list = []node{n.inner}
	}
	for _, n := range list {
		if s, ok := mixed(n); ok {
			return s, true
		}
	}
	return sides{}, false
}

func needs(n node) (out sides) {
	switch n := n.(type) {
	case *test:
		switch n.field.id {
		case fieldMethod, fieldPath, fieldAuthority:
			out.request = n.field.Name
		case fieldStatus, fieldGRPCStatus:
			out.response = n.field.Name
		}
		if n.op == opNotEqual { // holds for rows without the field too
			return sides{}
		}
	case *and:
		for _, n := range n.list {
			s := needs(n)
			if out.request == "" {
				out.request = s.request
			}
			if out.response == "" {
				out.response = s.response
			}
		}
	case *or:
		out = needs(n.list[0])
		for _, n := range n.list[1:] {
			s := needs(n)
			if s.request == "" {
				out.request = ""
			}
			if s.response == "" {
				out.response = ""
			}
		}
	}
	return out
}
