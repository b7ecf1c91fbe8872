"""The HTTP API for programs, under /api/v1: the verbs of `resnet.verbs` over a photo that is sent.

`verbs` has the addresses, `work` runs them, `negotiate` and `problems` speak HTTP, `schema` and
`docs` describe it all.
"""
