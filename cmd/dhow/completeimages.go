package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/dhowhq/dhow/service"
	"github.com/dhowhq/dhow/store"
)

// mostCompletions is how many names a shell is given to choose from.
const mostCompletions = 500

// completeImages makes a shell complete the first n arguments, or all of them for 0, with
// the names of the local store.
func (a *app) completeImages(n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
		if n > 0 && len(given) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, err := a.localNames(cmd, typed)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // there is nobody to tell
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// localNames returns the familiar names in the local store that begin so.
func (a *app) localNames(cmd *cobra.Command, begin string) (names []string, err error) {
	a.store.wait = 0 // nobody waits for words to choose from
	opened, err := a.shareStore(cmd.Context(), storeLook)
	if err != nil {
		return nil, err
	}
	defer func() { err = opened.Close() }()
	err = opened.View(cmd.Context(), func(r store.NameReader) error {
		records, err := r.List("", 0)
		for _, rec := range records {
			if name := service.Familiar(rec); !rec.Dangling() && strings.HasPrefix(name, begin) && len(names) < mostCompletions {
				names = append(names, name)
			}
		}
		return err
	})
	return names, err
}
