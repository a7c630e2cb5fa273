"""The user table as peers see it. Imports nothing of ours."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Of this table alone."""


class User(Base):
    """A row of `ab_user`, with the names that fastapi-users wants; what the table lacks is the same for everybody."""

    __tablename__ = "ab_user"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    email: Mapped[str]
    hashed_password: Mapped[str | None] = mapped_column("password")
    is_active: Mapped[bool] = mapped_column("active")
    is_superuser = False
    is_verified = True
