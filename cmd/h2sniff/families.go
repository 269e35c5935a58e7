// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"h2sniff/capture/target"

	"github.com/spf13/pflag"
)

// familyFlags choose TLS libraries, and HTTP/2 without one.
type familyFlags struct {
	only                []string // of --lib; nil: all
	noOpenSSL, noGnuTLS bool
	cleartext           bool
}

// cleartextOption is the name of cleartext HTTP/2 among the families.
const cleartextOption = "h2c"

func familyOptions() []string {
	var names []string
	for _, family := range target.Families() {
		names = append(names, family.Option())
	}
	return append(names, cleartextOption)
}

func (v *familyFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&v.only, "lib", nil, "capture only these `FAMILIES`, of "+strings.Join(familyOptions(), ","))
	f.BoolVarP(&v.noOpenSSL, "no-openssl", "o", false, "leave OpenSSL out")
	f.BoolVarP(&v.noGnuTLS, "no-gnutls", "g", false, "leave GnuTLS out")
	f.BoolVar(&v.cleartext, cleartextOption, false, "cleartext HTTP/2 of the whole machine; chosen processes have it anyway, unless --h2c=false")
}

// take gives what the flags choose. chosen says that processes are: these have
// their cleartext HTTP/2 captured unless the flags leave it out.
func (v *familyFlags) take(f *pflag.FlagSet, chosen bool) (families []target.Family, cleartext bool, err error) {
	listed := f.Changed("lib")
	if listed && len(v.only) == 0 {
		return nil, false, usageError{fmt.Errorf("--lib needs one or more of %s", strings.Join(familyOptions(), ", "))}
	}
	for _, name := range v.only {
		if !slices.Contains(familyOptions(), name) {
			return nil, false, usageError{fmt.Errorf("--lib: there is no family %q, only %s", name, strings.Join(familyOptions(), ", "))}
		}
	}
	has := func(name string) bool { return !listed || slices.Contains(v.only, name) }
	families = []target.Family{}
	for _, family := range target.Families() {
		off := family == target.OpenSSL && v.noOpenSSL || family == target.GnuTLS && v.noGnuTLS
		if has(family.Option()) && !off {
			families = append(families, family)
		}
	}
	switch {
	case f.Changed(cleartextOption):
		cleartext = v.cleartext
	case listed:
		cleartext = slices.Contains(v.only, cleartextOption)
	default:
		cleartext = chosen
	}
	if len(families) == 0 && !cleartext {
		return nil, false, usageError{errors.New("these options leave no family to capture")}
	}
	return families, cleartext, nil
}
