"""What Python prints of a workflow's exception that nobody catches: the user's frames, and none of Weft's."""

from __future__ import annotations

FLOW = """
    class Odd(Exception):
        pass

    @step
    def inc(n):
        raise ValueError("too big")

    @workflow
    def main(n):
        try:
            return inc(n)
        except ValueError as error:
            raise Odd("outer") from error

    if __name__ == "__main__":
        BEFORE
        main.options(executor="inline").run(5)
    """
HEAD = "import sys\nfrom weft import step, workflow\n"


def printed(project, before: str = "pass") -> str:
    project.write("flow.py", FLOW.replace("BEFORE", before))
    text = (project.folder / "flow.py").read_text()
    (project.folder / "flow.py").write_text(HEAD + text)
    ended = project.python("flow.py")
    assert ended.returncode == 1
    return ended.stderr


def test_no_frame_of_weft_is_printed(project):
    shown = printed(project)
    own = shown.partition("it was raised there:")[0]
    assert "weft/client" not in own.replace("\\", "/")
    assert "weft/lang" not in own.replace("\\", "/")
    assert 'main.options(executor="inline").run(5)' in own


def test_cause_and_notes_are_printed(project):
    shown = printed(project)
    assert "ValueError: too big" in shown
    assert "The above exception was the direct cause" in shown
    assert "continue with: weft resume" in shown


def test_a_hook_of_the_user_stays(project):
    shown = printed(
        project, "sys.excepthook = lambda kind, error, trace: print('mine', kind, file=sys.stderr)"
    )
    assert "mine" in shown
    assert "Traceback" not in shown


def test_a_failure_of_another_kind_is_printed_whole(project):
    before = "\n        ".join(
        ["try:", "    main.options(executor='inline').run(5)", "except Odd:", "    [].missing"]
    )
    shown = printed(project, before)
    assert "AttributeError" in shown
    assert "During handling of the above exception" in shown
